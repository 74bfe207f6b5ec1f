//! How much a restorer keeps in memory, and which store is to be read or written next.
//!
//! A step that is written is a sorted file, and files of a store are merged: few large ones cost least. So what is gathered of
//! all stores shares one bound, and from half of it on only the stores that have most are read, until they are done or the bound
//! is reached and the largest step is written. Two are read, not one, so that while the answer of the one is awaited that of the
//! other is taken in.

use kappa_state::RestoringBytes;

/// What a store holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holding {
    pub(super) token: u32,
    pub(super) bytes: RestoringBytes,
    /// Its changelog is read to the end.
    pub(super) done: bool,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Wait for the steps under way.
    pub(super) end: bool,
    /// Begin to write these stores' steps.
    pub(super) write: Vec<u32>,
    /// Read these stores' changelogs and no others; `None`: all.
    pub(super) few: Option<Vec<u32>>,
}

/// Stores that are read where not all are.
const FEW: usize = 2;

/// Plans for what is held now.
pub(super) fn plan(stores: &[Holding], bound: usize) -> Plan {
    let gathered: usize = stores.iter().map(|store| store.bytes.gathered).sum();
    let writing: usize = stores.iter().map(|store| store.bytes.writing).sum();
    let full = gathered + writing >= bound;
    let mut by_size: Vec<&Holding> = stores.iter().filter(|store| store.bytes.gathered > 0).collect();
    // Of equal ones the first; the sort is stable.
    by_size.sort_by_key(|store| usize::MAX - store.bytes.gathered);
    // What is complete need not wait for others; a little is written together with the end of the restore.
    let complete = by_size.iter().filter(|store| store.done && store.bytes.gathered > bound / 16);
    let complete = complete.filter(|store| store.bytes.writing == 0);
    let mut write: Vec<u32> = complete.map(|store| store.token).collect();
    if full
        && gathered >= bound / 2
        && let Some(largest) = by_size.first()
        && !write.contains(&largest.token)
    {
        write.push(largest.token);
    }
    let few = (gathered >= bound / 2).then(|| {
        let reading = by_size.iter().filter(|store| !store.done);
        reading.take(FEW).map(|store| store.token).collect::<Vec<_>>()
    });
    Plan { end: full && writing > 0, write, few: few.filter(|few| !few.is_empty()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads changelogs of these lengths, a byte a turn from each that may be read. Gives the steps as (store, bytes), those
    /// left at the end included.
    fn restore(lengths: &[usize], bound: usize) -> Vec<(usize, usize)> {
        let mut left = lengths.to_vec();
        let mut stores: Vec<Holding> = (0..lengths.len())
            .map(|at| Holding { token: at as u32, bytes: RestoringBytes::default(), done: left[at] == 0 })
            .collect();
        let mut steps = Vec::new();
        for turn in 0.. {
            assert!(turn < 100 * (1 + lengths.iter().sum::<usize>()), "it does not end: {stores:?}");
            let plan = plan(&stores, bound);
            for (at, store) in stores.iter_mut().enumerate() {
                if plan.end {
                    store.bytes.writing = 0;
                }
                if plan.write.contains(&store.token) {
                    steps.push((at, store.bytes.gathered));
                    store.bytes = RestoringBytes { gathered: 0, writing: store.bytes.gathered };
                }
                if plan.few.as_ref().is_none_or(|few| few.contains(&store.token)) && left[at] > 0 {
                    left[at] -= 1;
                    store.bytes.gathered += 1;
                }
                store.done = left[at] == 0;
            }
            let held: usize = stores.iter().map(|store| store.bytes.gathered + store.bytes.writing).sum();
            // Beyond the bound there is what was read in the turn that reached it, and in the one after.
            assert!(held <= bound + 2 * lengths.len(), "{held} bytes: {stores:?}");
            if stores.iter().all(|store| store.done) {
                break;
            }
        }
        steps.extend(stores.iter().enumerate().map(|(at, store)| (at, store.bytes.gathered)).filter(|step| step.1 > 0));
        steps
    }

    #[test]
    fn what_fits_is_one_step_a_store() {
        assert_eq!(restore(&[20, 0, 30], 64), [(0, 20), (2, 30)]);
        assert_eq!(restore(&[7], 64), [(0, 7)]);
    }

    #[test]
    fn steps_are_few_and_large() {
        // Four stores, each of which fills the bound: 16 steps, were all read all the time; 9, were one read at a time.
        let steps = restore(&[64; 4], 64);
        assert!(steps.len() <= 12, "{steps:?}");
        for at in 0..4 {
            let of: Vec<usize> = steps.iter().filter(|step| step.0 == at).map(|step| step.1).collect();
            assert_eq!(of.iter().sum::<usize>(), 64, "{steps:?}");
        }
    }

    #[test]
    fn any_restore_ends_within_the_bound() {
        for bound in [0, 1, 2, 5, 64] {
            for lengths in [&[0][..], &[1], &[100], &[1, 100], &[3, 0, 50, 200, 1], &[40; 16]] {
                let steps = restore(lengths, bound);
                for (at, length) in lengths.iter().enumerate() {
                    let sum: usize = steps.iter().filter(|step| step.0 == at).map(|step| step.1).sum();
                    assert_eq!(sum, *length, "{lengths:?} within {bound}: {steps:?}");
                }
            }
        }
    }
}
