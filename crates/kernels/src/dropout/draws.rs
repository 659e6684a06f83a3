//! Which random numbers belong to which dropout.

/// The random numbers of all dropouts of one forward pass: each dropout takes the next draw.
#[derive(Debug, Clone)]
pub struct Draws {
    seed: Option<u64>,
    site: u32,
}

/// The random numbers of one dropout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    pub(crate) seed: u64,
    pub(crate) site: u32,
}

impl Draws {
    /// Nothing is dropped: as a model is evaluated and used.
    pub fn none() -> Self {
        Self { seed: None, site: 0 }
    }

    /// The draws of a step; the same seed gives the same ones again.
    pub fn from_seed(seed: u64) -> Self {
        Self { seed: Some(seed), site: 0 }
    }

    /// The draw of the next dropout; `None` when nothing is dropped.
    pub fn take(&mut self) -> Option<Draw> {
        let site = self.site;
        self.site += 1;
        self.seed.map(|seed| Draw { seed, site })
    }
}

impl Draw {
    /// A seed of its own for a device's generator.
    pub(crate) fn device_seed(self) -> u64 {
        // The finalizer of SplitMix64 (Steele et al. 2014): neighbouring sites get unrelated seeds.
        let mixed = self.seed.wrapping_add((u64::from(self.site) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
