//! Bisect.
