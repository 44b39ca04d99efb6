//! Events, and what can happen to them on their way to a listener.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use skep_core::identity::SwarmId;
use tokio::sync::mpsc;

use super::after;
use crate::engine::{Event, EventObject, EventStream};

/// What happens to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFault {
    /// Nobody hears it.
    Lost,
    /// It is heard twice.
    Doubled,
    /// It is heard later, behind those that come meanwhile.
    Late(Duration),
    /// All streams end here.
    Ends,
    /// Streams stay open from here on and say nothing.
    Silent,
}

type Decide = Box<dyn FnMut(usize) -> Option<EventFault> + Send>;

/// The listeners and what is on its way to them.
#[derive(Default)]
pub(super) struct Feed {
    listeners: Vec<mpsc::UnboundedSender<Event>>,
    /// Streams that are open and say nothing.
    silenced: Vec<mpsc::UnboundedSender<Event>>,
    late: BTreeMap<(Timestamp, usize), Event>,
    count: usize,
    decide: Option<Decide>,
}

impl Feed {
    pub(super) fn meets(
        &mut self,
        decide: impl FnMut(usize) -> Option<EventFault> + Send + 'static,
    ) {
        self.decide = Some(Box::new(decide));
    }

    /// A stream from now on.
    pub(super) fn follow(&mut self) -> EventStream {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.listeners.push(sender);
        let next = |mut receiver: mpsc::UnboundedReceiver<Event>| async move {
            receiver.recv().await.map(|event| (Ok(event), receiver))
        };
        futures::stream::unfold(receiver, next).boxed()
    }

    pub(super) fn say(
        &mut self,
        object: EventObject,
        action: &str,
        id: &str,
        name: &str,
        now: Timestamp,
    ) {
        let index = self.count;
        self.count += 1;
        let event = Event {
            object,
            action: action.to_owned(),
            id: SwarmId::new(id),
            name: Some(name.to_owned()),
        };
        match self.decide.as_mut().and_then(|decide| decide(index)) {
            None => self.tell(&event),
            Some(EventFault::Lost) => {}
            Some(EventFault::Doubled) => {
                self.tell(&event);
                self.tell(&event);
            }
            Some(EventFault::Late(by)) => {
                self.late.insert((after(now, by), index), event);
            }
            Some(EventFault::Ends) => {
                self.tell(&event);
                self.listeners.clear();
                self.silenced.clear();
            }
            Some(EventFault::Silent) => self.silenced.append(&mut self.listeners),
        }
    }

    /// When the next late event is to be heard.
    pub(super) fn next_late(&self) -> Option<Timestamp> {
        self.late.keys().next().map(|(at, _)| *at)
    }

    /// Delivers what is late enough.
    pub(super) fn deliver(&mut self, now: Timestamp) {
        while let Some(entry) = self.late.first_entry().filter(|entry| entry.key().0 <= now) {
            let event = entry.remove();
            self.tell(&event);
        }
    }

    fn tell(&mut self, event: &Event) {
        self.listeners.retain(|listener| listener.send(event.clone()).is_ok());
    }
}
