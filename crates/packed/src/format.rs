//! How numbers are packed.

/// How numbers are packed. Those with a K share two levels of scales in blocks of 256, the others of whole numbers one
/// level in blocks of 32. The names are `llama.cpp`'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// The upper half of single precision.
    Bf16,
    /// 4 bits about zero.
    Q4_0,
    /// 4 bits above a minimum.
    Q4_1,
    /// 5 bits about zero.
    Q5_0,
    /// 5 bits above a minimum.
    Q5_1,
    /// 8 bits about zero.
    Q8_0,
    /// 4 bits above a minimum, the scales and minima of 6 bits.
    Q4K,
    /// 5 bits above a minimum, the scales and minima of 6 bits.
    Q5K,
    /// 6 bits about zero, the scales of 8 bits.
    Q6K,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    /// As `llama.cpp` writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
        }
    }

    /// The format of this name, in capital letters or small ones.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name))
    }

    /// Numbers of a block.
    pub fn block(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => 32,
            Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }

    /// Bytes of a row of `inputs` numbers; nothing if that isn't a whole number of blocks.
    pub fn row_bytes(self, inputs: usize) -> Option<usize> {
        inputs.is_multiple_of(self.block()).then(|| inputs / self.block() * self.block_bytes())
    }

    /// Whether the numbers are floats, each by itself.
    pub fn is_float(self) -> bool {
        self.block() == 1
    }
}
