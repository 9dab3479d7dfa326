//! What every backend must do, as functions that run on any of them.
