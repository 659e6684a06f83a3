//! A random order of the numbers below n without a list of them.

/// A keyed permutation of 0..n: a Feistel network of four rounds over the smallest even number of bits that holds n,
/// walked along its cycle until the value is below n (Black and Rogaway, "Ciphers with Arbitrary Finite Domains",
/// 2002).
pub(super) struct Permutation {
    length: u64,
    half_bits: u32,
    keys: [u64; 4],
}

impl Permutation {
    /// The permutation of `0..length` that belongs to `key`.
    pub(super) fn new(length: u64, key: u64) -> Self {
        let bits = u64::BITS - length.saturating_sub(1).leading_zeros();
        let half_bits = bits.div_ceil(2).max(1);
        let keys = [0, 1, 2, 3].map(|round| mix(key, round));
        Self { length, half_bits, keys }
    }

    /// Where `index` (below the length) goes.
    pub(super) fn apply(&self, index: u64) -> u64 {
        let mut value = index;
        loop {
            value = self.encrypt(value);
            if value < self.length {
                return value;
            }
        }
    }

    fn encrypt(&self, value: u64) -> u64 {
        let mask = (1_u64 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(key, right) & mask));
        }
        (left << self.half_bits) | right
    }
}

/// A 64-bit mixture of two numbers (the finalizer of SplitMix64: Steele, Lea and Flood, 2014).
pub fn mix(a: u64, b: u64) -> u64 {
    let mut z = a ^ b.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
