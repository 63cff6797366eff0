margo_core::string_enum! {
    /// Where a deployment, or one of its components, stands ([spec]).
    ///
    /// [spec]: https://specification.margo.org/1.0.0-rc.3/deployment-status#status-attributes
    pub enum DeploymentState {
        /// Received, not yet started.
        Pending = "pending",
        /// Being applied.
        Installing = "installing",
        /// Applied completely.
        Installed = "installed",
        /// Being taken away.
        Removing = "removing",
        /// Gone.
        Removed = "removed",
        /// Could not be applied or removed.
        Failed = "failed",
    }
}

impl DeploymentState {
    /// The overall state of a deployment: the most severe state among its components (R-B-039).
    ///
    /// `failed` is the most severe, then `removing`, `installing`, `pending`, `removed`, `installed`. The
    /// published order names `removing` twice and `removed` never; the second is read as `removed` (X-B-02,
    /// X-D-11).
    ///
    /// A state this library does not know comes directly after `pending` (MI-010): it hides nothing that is
    /// known to be in progress, and nothing counts as done while it lasts.
    ///
    /// `None` when there are no components.
    ///
    /// ```
    /// # use margo_status::DeploymentState;
    /// let components = [DeploymentState::Installed, DeploymentState::Installing];
    /// assert_eq!(DeploymentState::overall(&components), Some(&DeploymentState::Installing));
    /// ```
    pub fn overall<'a>(components: impl IntoIterator<Item = &'a Self>) -> Option<&'a Self> {
        components.into_iter().max_by_key(|state| state.severity())
    }

    /// Whether a deployment, or one of its components, in this state may be in state `next` afterwards.
    ///
    /// | from | to |
    /// | --- | --- |
    /// | `pending` | `installing`, `removing`, `failed` |
    /// | `installing` | `installed`, `pending`, `removing`, `failed` |
    /// | `installed` | `pending`, `installing`, `removing`, `failed` |
    /// | `removing` | `removed`, `pending`, `failed` |
    /// | `removed` | `pending` |
    /// | `failed` | `pending`, `installing`, `removing` |
    ///
    /// Work is never reported as done that was not begun: `installed` follows `installing` alone, and `removed`
    /// follows `removing` alone. A new revision of a deployment makes it `pending` whatever it was (R-A-022), an
    /// attempt that failed may be repeated, and every state may be reported again. Nothing is known about a state the
    /// specification does not name: it may be before and after every other.
    ///
    /// This is about what a device does (R-B-033). A manager that missed a report sees a jump, and accepts it.
    ///
    /// ```
    /// # use margo_status::DeploymentState;
    /// assert!(DeploymentState::Pending.can_become(&DeploymentState::Installing));
    /// assert!(!DeploymentState::Pending.can_become(&DeploymentState::Installed));
    /// ```
    #[must_use]
    pub fn can_become(&self, next: &Self) -> bool {
        if self == next {
            return true;
        }
        match (self, next) {
            (Self::Unrecognized(_), _) | (_, Self::Unrecognized(_) | Self::Pending) => true,
            (from, Self::Installing) => matches!(from, Self::Pending | Self::Installed | Self::Failed),
            (from, Self::Installed) => matches!(from, Self::Installing),
            (from, Self::Removed) => matches!(from, Self::Removing),
            (from, Self::Removing | Self::Failed) => !matches!(from, Self::Removed),
        }
    }

    fn severity(&self) -> u8 {
        match self {
            Self::Failed => 6,
            Self::Removing => 5,
            Self::Installing => 4,
            Self::Pending => 3,
            Self::Unrecognized(_) => 2,
            Self::Removed => 1,
            Self::Installed => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The order of X-B-02, most severe first, with what is unknown in its place.
    fn by_severity() -> Vec<DeploymentState> {
        ["failed", "removing", "installing", "pending", "paused", "removed", "installed"]
            .map(DeploymentState::from)
            .into()
    }

    /// R-B-039, X-B-02, X-D-11, MI-010.
    #[test]
    fn the_more_severe_of_two_states_wins() {
        let order = by_severity();
        for (i, severe) in order.iter().enumerate() {
            for mild in &order[i..] {
                assert_eq!(DeploymentState::overall([severe, mild]), Some(severe));
                assert_eq!(DeploymentState::overall([mild, severe]), Some(severe));
            }
        }
        assert_eq!(DeploymentState::overall([]), None);
    }

    /// R-B-033: the table, word for word.
    #[test]
    fn each_state_is_followed_by_what_the_table_says() {
        let table = [
            ("pending", "installing removing failed"),
            ("installing", "installed pending removing failed"),
            ("installed", "pending installing removing failed"),
            ("removing", "removed pending failed"),
            ("removed", "pending"),
            ("failed", "pending installing removing"),
        ];
        for (from, to) in table {
            let to: Vec<_> = to.split(' ').chain([from]).collect();
            for next in DeploymentState::KNOWN {
                let can = DeploymentState::from(from).can_become(next);
                assert_eq!(can, to.contains(&next.as_str()), "{from} -> {next}");
            }
        }
        let unknown = DeploymentState::from("paused");
        for state in DeploymentState::KNOWN {
            assert!(state.can_become(&unknown) && unknown.can_become(state));
        }
    }

    /// Wherever a deployment stands, it can be installed and it can be removed.
    #[test]
    fn no_state_is_a_dead_end() {
        for from in DeploymentState::KNOWN {
            let mut reached = vec![from.clone()];
            let mut seen = 0;
            while seen < reached.len() {
                let state = reached[seen].clone();
                let next = DeploymentState::KNOWN.iter().filter(|next| state.can_become(next));
                let new: Vec<_> = next.filter(|next| !reached.contains(next)).cloned().collect();
                reached.extend(new);
                seen += 1;
            }
            assert_eq!(reached.len(), DeploymentState::KNOWN.len(), "{from}");
        }
    }

    proptest! {
        /// R-B-039: a maximum. It is one of the components, none is more severe, and neither the order of the
        /// components nor their grouping matters.
        #[test]
        fn the_overall_state_is_a_maximum(
            left in prop::collection::vec(prop::sample::select(by_severity()), 1..6),
            right in prop::collection::vec(prop::sample::select(by_severity()), 1..6),
        ) {
            let order = by_severity();
            let rank = |state: &DeploymentState| order.iter().position(|other| other == state);
            let overall = DeploymentState::overall(left.iter().chain(&right)).unwrap();
            prop_assert_eq!(rank(overall), left.iter().chain(&right).map(rank).min().unwrap());
            prop_assert_eq!(overall, DeploymentState::overall(right.iter().chain(&left)).unwrap());
            let halves = [&left, &right].map(|half| DeploymentState::overall(half).unwrap());
            prop_assert_eq!(overall, DeploymentState::overall(halves).unwrap());
        }
    }
}
