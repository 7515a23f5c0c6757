//! Every metric and field name; set-up of logs, traces and metrics
