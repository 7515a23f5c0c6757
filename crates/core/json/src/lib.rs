//! JSON as text: strict reading that loses nothing, and the ECMAScript fixed point.
