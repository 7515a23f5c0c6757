//! The use cases (dispatch, deliver, replay) and the ports they need
