//! Crop plans.
