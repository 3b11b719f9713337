//! Settings of the C library's allocator.

/// Makes the allocator keep the memory of freed tensors for later ones. By default glibc returns large blocks to the
/// system, which clears each page before it is used again: on the CPU this took a third of the time of a training
/// step. Call this before the first tensor is made, as the program `prospr` does. It changes glibc's settings for the
/// whole process, and does nothing with other C libraries.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for setting in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: mallopt accepts any value, and locks the state it changes.
        unsafe { libc::mallopt(setting, libc::c_int::MAX) };
    }
}
