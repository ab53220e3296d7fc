//! How well a simulated device behaves: the faults of networks and the moods of devices, each for a number of times.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::http::Reading;

/// The default is a device that does as it is told, on a network that works.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conduct {
    /// Apple: the next so many commands are answered NotNow. Commands to which the platform never says NotNow (locks, erasing,
    /// DeviceInformation, ProfileList …) are done all the same.
    pub not_now: u32,
    /// The answers to the next so many reports are lost: they are read whole and thrown away, and the connection closed. The device
    /// keeps its report and sends it again when it next polls.
    pub lose_answers: u32,
    /// The next so many reports close the connection this long after sending, without reading.
    pub cut_reports: u32,
    /// See `cut_reports`. Zero closes as soon as the bytes are out.
    pub cut_after: Duration,
    /// The next so many reports are sent twice, word for word.
    pub repeat_reports: u32,
    /// The time a device takes over each command before it reports.
    pub think: Duration,
    /// Commands that fail: Apple RequestTypes (Status Error), OMA-DM LocURIs (status 500), EAS wipe elements (Status 2).
    pub fail: BTreeSet<String>,
    /// A wipe is carried out although nobody confirmed having heard its acknowledgement, as real devices may.
    pub erase_unheard: bool,
    /// Apple: goes without a word; no CheckOut.
    pub no_checkout: bool,
    /// The user never does what a policy asks of them: passcodes stay unset.
    pub ignores_policy: bool,
}

impl Conduct {
    /// How the answer to the next report is read; counts down.
    pub(crate) fn next_reading(&mut self) -> Reading {
        if take(&mut self.cut_reports) {
            return Reading::CutAfter(self.cut_after);
        }
        if take(&mut self.lose_answers) {
            return Reading::Discard;
        }
        Reading::Read
    }

    pub(crate) fn next_repeat(&mut self) -> bool {
        take(&mut self.repeat_reports)
    }

    pub(crate) fn next_not_now(&mut self) -> bool {
        take(&mut self.not_now)
    }
}

fn take(left: &mut u32) -> bool {
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}
