use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The connections there are, in the order in which they have to give way.
pub(super) struct Crowd {
    max: usize,
    seats: Mutex<Seats>,
}

#[derive(Default)]
struct Seats {
    next: u64,
    /// How many are there, those that were told to go and have not gone yet not included.
    taken: usize,
    /// Those that have never completed a request.
    new: BTreeMap<u64, Arc<Notify>>,
    /// Those that have, and are waiting for the next.
    idle: BTreeMap<u64, Arc<Notify>>,
}

impl Crowd {
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.max(1), seats: Mutex::default() }
    }

    /// A place for one more; somebody who is waiting gives way if there is none. `None` if nobody is.
    pub(super) fn enter(crowd: &Arc<Self>) -> Option<Place> {
        let mut seats = crowd.seats();
        if seats.taken >= crowd.max && !seats.make_room() {
            return None;
        }
        seats.taken += 1;
        let leave = Arc::new(Notify::new());
        let seat = seats.number();
        seats.new.insert(seat, Arc::clone(&leave));
        Some(Place { crowd: Arc::clone(crowd), leave, seat: Mutex::new(Seat::New(seat)) })
    }

    /// Asks somebody who is waiting to go.
    pub(super) fn make_room(&self) {
        self.seats().make_room();
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        // Every change is a few insertions and removals that cannot fail.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn make_room(&mut self) -> bool {
        let Some((_, leave)) = self.new.pop_first().or_else(|| self.idle.pop_first()) else { return false };
        self.taken -= 1;
        leave.notify_one();
        true
    }
}

/// One connection among the others.
pub(super) struct Place {
    crowd: Arc<Crowd>,
    leave: Arc<Notify>,
    seat: Mutex<Seat>,
}

#[derive(Clone, Copy)]
enum Seat {
    New(u64),
    Idle(u64),
    Busy,
    /// Was told to go.
    Gone,
}

impl Place {
    /// Completes when this connection has to give way.
    pub(super) async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }

    /// A request is here, and is being answered.
    pub(super) fn busy(&self) {
        self.change(|seats, seat| match seat {
            Seat::New(number) if seats.new.remove(&number).is_none() => Seat::Gone,
            Seat::Idle(number) if seats.idle.remove(&number).is_none() => Seat::Gone,
            Seat::Gone => Seat::Gone,
            _ => Seat::Busy,
        });
    }

    /// The request is answered.
    pub(super) fn idle(&self) {
        self.change(|seats, seat| match seat {
            Seat::Gone => Seat::Gone,
            Seat::New(number) if seats.new.remove(&number).is_none() => Seat::Gone,
            Seat::Idle(number) if seats.idle.remove(&number).is_none() => Seat::Gone,
            _ => {
                let number = seats.number();
                seats.idle.insert(number, Arc::clone(&self.leave));
                Seat::Idle(number)
            }
        });
    }

    /// Whether a request is being answered.
    pub(super) fn is_busy(&self) -> bool {
        matches!(*self.seat.lock().unwrap_or_else(PoisonError::into_inner), Seat::Busy)
    }

    fn change(&self, change: impl FnOnce(&mut Seats, Seat) -> Seat) {
        let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        *seat = change(&mut self.crowd.seats(), *seat);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.change(|seats, seat| {
            let was_there = match seat {
                Seat::New(number) => seats.new.remove(&number).is_some(),
                Seat::Idle(number) => seats.idle.remove(&number).is_some(),
                Seat::Busy => true,
                Seat::Gone => false,
            };
            seats.taken -= usize::from(was_there);
            Seat::Gone
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn has_to_leave(place: &Place) -> bool {
        place.asked_to_leave().now_or_never().is_some()
    }

    #[test]
    fn who_never_said_anything_gives_way_first_and_who_is_served_never() {
        let crowd = Arc::new(Crowd::new(3));
        let [served, idle, silent] = std::array::from_fn(|_| Crowd::enter(&crowd).unwrap());
        served.busy();
        idle.busy();
        idle.idle();
        let newcomer = Crowd::enter(&crowd).unwrap();
        assert!(has_to_leave(&silent) && !has_to_leave(&idle) && !has_to_leave(&served));
        newcomer.busy();
        let another = Crowd::enter(&crowd).unwrap();
        assert!(has_to_leave(&idle));
        another.busy();
        assert!(Crowd::enter(&crowd).is_none());
        drop(another);
        assert!(Crowd::enter(&crowd).is_some());
        assert_eq!(crowd.seats().taken, 2);
        drop((served, idle, silent, newcomer));
        assert_eq!(crowd.seats().taken, 0);
    }
}
