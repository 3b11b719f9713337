//! Timing of work on a device.

use std::time::{Duration, Instant};

use super::{Options, Row};
use crate::eval_stats;

/// Work shorter than this is repeated between two readings of the clock, so that the wait for the device is negligible.
const SHORT: Duration = Duration::from_millis(20);
/// Largest number of repetitions between two readings of the clock.
const MANY: u32 = 200;

/// Result of a measurement.
pub struct Timing {
    first: Duration,
    /// Median time per repetition in seconds.
    pub seconds: f64,
    shortest: f64,
    repeats: usize,
    launches: u64,
    peak_bytes: u64,
}

/// Measures the median time of work that launches kernels on the device.
///
/// The first execution is a warm-up and does not count. No measurement starts after the time limit `allowed`. If the
/// first execution takes at least half of the limit, it is not repeated and counts.
pub fn measure(
    options: &Options,
    allowed: Duration,
    mut work: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Timing> {
    let device = &options.device;
    device.synchronize()?;
    let mut timed = |times: u32| {
        let start = Instant::now();
        for _ in 0..times {
            work()?;
        }
        device.synchronize()?;
        anyhow::Ok(start.elapsed())
    };
    let mut look = || {
        device.reset_peak_memory();
        let before = eval_stats().launches;
        let time = timed(1)?;
        anyhow::Ok((time, eval_stats().launches - before, device.memory().peak))
    };
    let begin = Instant::now();
    let mut seen = look()?;
    let (first, ..) = seen;
    if first < allowed / 2 {
        seen = look()?;
    }
    let (again, launches, peak_bytes) = seen;
    let times = match options.quick {
        true => 1,
        false => (SHORT.as_secs_f64() / again.as_secs_f64().max(1e-9)).ceil() as u32,
    };
    let times = times.clamp(1, MANY);
    let mut seconds = match times {
        1 => vec![again.as_secs_f64()],
        _ => Vec::new(),
    };
    let again = again * times;
    while seconds.is_empty()
        || (seconds.len() < options.repeats && begin.elapsed() + again < allowed)
    {
        seconds.push(timed(times)?.as_secs_f64() / f64::from(times));
    }
    seconds.sort_unstable_by(f64::total_cmp);
    let middle = seconds.len() / 2;
    let median = match seconds.len() % 2 {
        0 => (seconds[middle - 1] + seconds[middle]) / 2.0,
        _ => seconds[middle],
    };
    Ok(Timing {
        first,
        seconds: median,
        shortest: seconds[0],
        repeats: seconds.len(),
        launches,
        peak_bytes,
    })
}

impl Timing {
    /// A row without rates.
    pub fn row(&self, options: &Options, name: impl Into<String>, size: String) -> Row {
        Row {
            name: name.into(),
            size,
            precision: options.precision,
            ms: self.seconds * 1e3,
            min_ms: self.shortest * 1e3,
            repeats: self.repeats,
            launches: self.launches,
            peak_bytes: self.peak_bytes,
            device: options.device.to_string(),
            ..Row::default()
        }
    }

    /// A row without rates, with the time of the first execution.
    pub fn row_with_first(&self, options: &Options, name: String, size: String) -> Row {
        Row { first_ms: Some(self.first.as_secs_f64() * 1e3), ..self.row(options, name, size) }
    }
}
