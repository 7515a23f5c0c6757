//! Every metric and label name, what is measured and traced with them, and where that goes; set-up of logs.
//!
//! Log lines go to the standard error stream, one event a line: what a command prints as data stays apart from what it says.

mod attribute;
mod log;
mod meter;
mod metric;
mod span;
mod telemetry;

pub use attribute::{Attribute, STATUSES, Values, counted_status};
pub use log::{LevelError, LogFormat, LogSettings, SetUpError, check_level, set_up_log};
pub use meter::{
    Counter, Entered, Histogram, HistogramByStatus, Label, Meters, Reading, UpDownCounter,
};
pub use metric::{Across, Instrument, Metric};
pub use opentelemetry::KeyValue;
pub use span::{Origin, Place, Span, Step, Tracer};
pub use telemetry::{ExportError, Telemetry, TelemetrySettings};
