//! Chance that a seed repeats.

use std::time::Duration;

/// Numbers that a seed repeats (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Seeds that follow one another are nothing alike.
    pub fn new(seed: u64) -> Self {
        let mut dice = Self(seed ^ 0x6c61_6e79_6172_6421);
        dice.number();
        dice
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below this.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.number() % (limit.max(1) as u64)).unwrap()
    }

    /// So many times in a hundred.
    pub fn in_hundred(&mut self, times: usize) -> bool {
        self.below(100) < times
    }

    /// One of these; none of none.
    pub fn pick<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        let at = self.below(of.len());
        of.get(at).cloned()
    }

    /// How much time goes by between two things: mostly little.
    pub fn pause(&mut self) -> Duration {
        const PAUSES: [u64; 18] = [
            1, 10, 11, 60, 61, 600, 601, 960, 3600, 3600, 3601, 7200, 21_600, 86_400, 90_000, 259_200, 864_000,
            2_700_000,
        ];
        Duration::from_secs(PAUSES[self.below(PAUSES.len())])
    }
}
