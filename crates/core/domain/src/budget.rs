//! How much room dead letters may take.

/// What the dead letters that are kept take, whatever was done about them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeadLetterUsage {
    /// How many there are.
    pub entry_count: u64,
    /// The bytes of their records, without what the store needs to find them.
    pub bytes: u64,
}

/// How much they may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadLetterBudget {
    /// Dead letters.
    pub entries_max: u64,
    /// Bytes of their records.
    pub bytes_max: u64,
}

/// How much of the budget is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BudgetState {
    /// There is room.
    Roomy,
    /// From [`DeadLetterBudget::NEAR_PERCENT`] on: time to look after them.
    Near,
    /// More than there should be.
    Over,
}

impl DeadLetterBudget {
    /// The share of the budget from which it is nearly used up.
    pub const NEAR_PERCENT: u64 = 80;

    /// How much of it this is.
    pub fn judge(&self, usage: DeadLetterUsage) -> BudgetState {
        let state = |used: u64, max: u64| {
            if used > max {
                BudgetState::Over
            } else if u128::from(used) * 100 >= u128::from(max) * u128::from(Self::NEAR_PERCENT) {
                BudgetState::Near
            } else {
                BudgetState::Roomy
            }
        };
        state(usage.entry_count, self.entries_max).max(state(usage.bytes, self.bytes_max))
    }

    /// How many dead letters must leave for the rest to be within the budget, and a hundredth more so that it stays so for a
    /// while; by their average size. 0 while the budget is kept.
    pub fn surplus(&self, usage: DeadLetterUsage) -> u64 {
        if self.judge(usage) != BudgetState::Over {
            return 0;
        }
        let headroom = |max: u64| max - max / 100;
        let by_count = usage.entry_count.saturating_sub(headroom(self.entries_max));
        let bytes_over = usage.bytes.saturating_sub(headroom(self.bytes_max));
        let average = (usage.bytes / usage.entry_count.max(1)).max(1);
        by_count.max(bytes_over.div_ceil(average)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_of_count_and_bytes_decides() {
        let budget = DeadLetterBudget {
            entries_max: 10,
            bytes_max: 1_000,
        };
        let judge = |entry_count, bytes| budget.judge(DeadLetterUsage { entry_count, bytes });
        assert_eq!(judge(7, 799), BudgetState::Roomy);
        assert_eq!(judge(8, 0), BudgetState::Near);
        assert_eq!(judge(0, 800), BudgetState::Near);
        assert_eq!(judge(10, 1_000), BudgetState::Near);
        assert_eq!(judge(11, 0), BudgetState::Over);
        assert_eq!(judge(8, 1_001), BudgetState::Over);
        let surplus = |entry_count, bytes| budget.surplus(DeadLetterUsage { entry_count, bytes });
        assert_eq!(surplus(10, 1_000), 0);
        assert_eq!(surplus(12, 0), 2);
        assert_eq!(surplus(5, 1_500), 2, "300 bytes each, 510 too many");
        assert_eq!(surplus(1, 5_000), 1);
        let unbounded = DeadLetterBudget {
            entries_max: u64::MAX,
            bytes_max: u64::MAX,
        };
        assert_eq!(
            unbounded.judge(DeadLetterUsage {
                entry_count: 1,
                bytes: 1
            }),
            BudgetState::Roomy
        );
    }
}
