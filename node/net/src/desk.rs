//! Where a session's pen lies while its task rests: the task lends it, whoever has something to write takes it for a moment.
//! Whoever writes holds the pen itself and no lock.

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::pen::Pen;

#[derive(Default)]
enum Place {
    /// With the task, or with one who writes for it.
    #[default]
    Away,
    /// With one who writes for the task, which waits for it.
    Wanted,
    Here(Box<Pen>),
    /// The session has ended.
    Gone,
}

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Desk {
    place: Mutex<Place>,
    /// Told when the pen that was wanted is back.
    returned: Notify,
}

impl Desk {
    /// Leaves the pen to whoever has something for a session at rest. The task's, who then waits to be woken.
    pub(crate) fn lend(&self, pen: Box<Pen>) {
        let mut place = self.place.lock();
        if !matches!(*place, Place::Gone) {
            *place = Place::Here(pen);
        }
    }

    /// The pen for the task again, at once unless somebody is writing with it. Pending for ever after the end.
    pub(crate) async fn take_back(&self) -> Box<Pen> {
        loop {
            let returned = self.returned.notified();
            {
                let mut place = self.place.lock();
                match std::mem::take(&mut *place) {
                    Place::Here(pen) => return pen,
                    Place::Gone => *place = Place::Gone,
                    Place::Away | Place::Wanted => *place = Place::Wanted,
                }
            }
            returned.await;
        }
    }

    /// The pen, for one who writes for the task and then calls [`Self::put_back`]; `None` when it is not here.
    pub(crate) fn borrow(&self) -> Option<Box<Pen>> {
        let mut place = self.place.lock();
        match std::mem::take(&mut *place) {
            Place::Here(pen) => Some(pen),
            other => {
                *place = other;
                None
            }
        }
    }

    /// Gives a borrowed pen back.
    pub(crate) fn put_back(&self, pen: Box<Pen>) {
        let mut place = self.place.lock();
        match *place {
            Place::Gone => {}
            Place::Wanted => {
                *place = Place::Here(pen);
                drop(place);
                self.returned.notify_one();
            }
            Place::Away | Place::Here(_) => *place = Place::Here(pen),
        }
    }

    /// Nobody writes any more: drops the pen, now or when it is given back.
    pub(crate) fn clear(&self) {
        let place = std::mem::replace(&mut *self.place.lock(), Place::Gone);
        drop(place);
    }
}
