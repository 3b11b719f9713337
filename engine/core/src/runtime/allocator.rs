//! What the C library does with freed memory.

/// Lets the process keep the memory of freed tensors for the next ones. Otherwise glibc gives large blocks back to the
/// system, which clears every page anew: on the CPU that took a third of the time of a training step. Call it before
/// the first tensor is made; `prospr` itself does. It changes glibc's settings for the whole process and does
/// nothing with other C libraries.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for setting in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: mallopt takes any values, and locks what it changes.
        unsafe { libc::mallopt(setting, libc::c_int::MAX) };
    }
}
