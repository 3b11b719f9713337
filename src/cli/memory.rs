//! Memory sizes on the command line.

/// Environment variable with the same meaning as `--memory`.
const VARIABLE: &str = "PROSPR_MEMORY";

/// Units and their sizes in bytes.
const UNITS: [(&str, f64); 9] = [
    ("KiB", 1024.0),
    ("MiB", 1024.0 * 1024.0),
    ("GiB", 1024.0 * 1024.0 * 1024.0),
    ("TiB", 1024.0 * 1024.0 * 1024.0 * 1024.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("B", 1.0),
];

/// Parses a size in bytes: `2GiB`, `500 MB`, `1000000`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let unit = UNITS.iter().find_map(|(name, factor)| {
        let split = text.len().checked_sub(name.len())?;
        let (number, unit) = text.split_at_checked(split)?;
        unit.eq_ignore_ascii_case(name).then_some((number, *factor))
    });
    let (number, factor) = unit.unwrap_or((text, 1.0));
    match number.trim().parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok((value * factor) as u64),
        _ => Err(format!(
            "`{text}` is not a number of bytes; write for example 2GiB, 500MB or 1000000"
        )),
    }
}

/// Sets the memory budget from the flag, or else from the environment variable.
pub fn limit(flag: Option<u64>) -> anyhow::Result<()> {
    let text = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let own = match (flag, text) {
        (Some(bytes), _) => Some(bytes),
        (None, Some(text)) => {
            Some(bytes(&text).map_err(|reason| anyhow::anyhow!("{VARIABLE}: {reason}"))?)
        }
        (None, None) => None,
    };
    crate::limit_memory(own);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_parsed_with_and_without_units() {
        assert_eq!(bytes("1000"), Ok(1000));
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        assert_eq!(bytes("1.5 mb"), Ok(1_500_000));
        assert_eq!(bytes("7B"), Ok(7));
        for wrong in ["", "GiB", "-1", "0", "2 GiBs", "much", "inf", "1µ"] {
            assert!(bytes(wrong).unwrap_err().contains("2GiB"), "{wrong}");
        }
    }
}
