//! Every metric and label name; set-up of logs.
//!
//! Log lines go to the standard error stream, one event a line: what a command prints as data stays apart from what it says.

mod attribute;
mod log;
mod metric;

pub use attribute::{Attribute, STATUSES, Values, counted_status};
pub use log::{LevelError, LogFormat, LogSettings, SetUpError, check_level, set_up_log};
pub use metric::{Across, Instrument, Metric};
