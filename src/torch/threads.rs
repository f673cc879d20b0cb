//! How many threads compute.

/// libtorch's number of threads, which is one for the whole process: set while this lives, and set back after it.
pub(crate) struct Threads {
    before: i32,
}

impl Threads {
    pub(crate) fn new(count: usize) -> Self {
        let before = tch::get_num_threads();
        tch::set_num_threads(i32::try_from(count).unwrap_or(i32::MAX));
        Self { before }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        tch::set_num_threads(self.before);
    }
}
