//! The clock.

use std::time::{Duration, Instant};

use super::{Options, Row};
use crate::eval_stats;

/// Work shorter than this is done several times between two looks at the clock, so that waiting for the device is no
/// part of it.
const SHORT: Duration = Duration::from_millis(20);
/// The most times.
const MANY: u32 = 200;

/// What came of it.
pub struct Sample {
    first: Duration,
    /// Median.
    pub seconds: f64,
    shortest: f64,
    repeats: usize,
    launches: u64,
    peak_bytes: u64,
}

/// The median time of some work that launches on the device. The first time does not count; when the time allowed is
/// over, no other measurement begins; work whose first time takes most of it is not done again, and that time counts.
pub fn measure(
    options: &Options,
    allowed: Duration,
    mut work: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Sample> {
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
    Ok(Sample {
        first,
        seconds: median,
        shortest: seconds[0],
        repeats: seconds.len(),
        launches,
        peak_bytes,
    })
}

impl Sample {
    /// As a row, which lacks its rates.
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

    /// As a row that also says how long the first time took.
    pub fn row_with_first(&self, options: &Options, name: String, size: String) -> Row {
        Row {
            first_ms: Some(self.first.as_secs_f64() * 1e3),
            ..self.row(options, name, size)
        }
    }
}
