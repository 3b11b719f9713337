//! Data sets, augmentation and batching: one data set, one file.
