//! Decoding of JPEG, PNG and TIFF files; the format is detected from the contents.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, ImageReader};

use crate::{Error, Image, Result};

/// Decodes a file to red, green and blue, with a remark if the file is unusual. `name` is for messages.
///
/// # Errors
/// [`Error::Format`] if the file is damaged.
pub(crate) fn color(name: &str, bytes: &[u8]) -> Result<(Image<'static>, Option<String>)> {
    let (decoded, format) = decode(name, bytes)?;
    let components = match format {
        ImageFormat::Jpeg => jpeg_components(bytes).map_err(|found| damaged(name, &found))?,
        _ => decoded.color().channel_count(),
    };
    let jpeg_name = [".jpg", ".jpeg"].iter().any(|end| name.to_ascii_lowercase().ends_with(end));
    let remark = match (format, components) {
        (_, 1 | 2) => Some("is grey; it is read with three equal channels".to_string()),
        (ImageFormat::Jpeg, 4) => Some("is in CMYK; it is converted to RGB".into()),
        (ImageFormat::Jpeg, _) => None,
        (other, _) if jpeg_name => Some(format!("is a {other:?} file in spite of its name")),
        _ => None,
    };
    let pixels = decoded.into_rgb8();
    let (width, height) = pixels.dimensions();
    let image = Image {
        pixels: pixels.into_raw().into(),
        height: height as usize,
        width: width as usize,
        channels: 3,
    };
    Ok((image, remark))
}

/// Decodes a file to grey.
///
/// # Errors
/// [`Error::Format`] if the file is damaged.
pub(crate) fn grey(name: &str, bytes: &[u8]) -> Result<Image<'static>> {
    let pixels = decode(name, bytes)?.0.into_luma8();
    let (width, height) = pixels.dimensions();
    Ok(Image {
        pixels: pixels.into_raw().into(),
        height: height as usize,
        width: width as usize,
        channels: 1,
    })
}

/// Decodes a file with one number per pixel to a mask: 1 if the number is not 0, otherwise 0.
///
/// # Errors
/// [`Error::Format`] if the file is damaged.
pub(crate) fn foreground(name: &str, bytes: &[u8]) -> Result<Image<'static>> {
    let numbers = decode(name, bytes)?.0.into_luma16();
    let (width, height) = numbers.dimensions();
    Ok(Image {
        pixels: numbers.into_raw().iter().map(|&n| u8::from(n != 0)).collect(),
        height: height as usize,
        width: width as usize,
        channels: 1,
    })
}

fn damaged(name: &str, found: &str) -> Error {
    Error::Format {
        name: name.into(),
        expected: "a whole JPEG, PNG or TIFF image".into(),
        found: found.into(),
    }
}

/// Decodes a file. The decoder's default limits keep a damaged header from requesting all memory.
fn decode(name: &str, bytes: &[u8]) -> Result<(DynamicImage, ImageFormat)> {
    let wrong = |found: &dyn std::fmt::Display| damaged(name, &found.to_string());
    if bytes.is_empty() {
        return Err(wrong(&"an empty file"));
    }
    let reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().expect("memory can be read");
    let Some(format) = reader.format() else {
        return Err(wrong(&"a file of another kind"));
    };
    let decoded = reader.decode().map_err(|e| wrong(&e))?;
    Ok((decoded, format))
}

/// Number of components per pixel of a JPEG: 1 grey, 3 color, 4 CMYK. Follows the markers to the end: the decoder
/// itself fills missing data with grey instead of reporting it.
fn jpeg_components(bytes: &[u8]) -> std::result::Result<u8, String> {
    let cut = || format!("a JPEG that is cut short after {} bytes", bytes.len());
    let mut components = None;
    let mut at = 2;
    loop {
        at += bytes.get(at..).unwrap_or(&[]).iter().position(|&b| b == 0xff).ok_or_else(cut)?;
        let marker = *bytes.get(at + 1).ok_or_else(cut)?;
        match marker {
            // Padding, escaped data and restart markers start no segment.
            0xff => at += 1,
            0x00 | 0x01 | 0xd0..=0xd8 => at += 2,
            0xd9 => return components.ok_or_else(|| "a JPEG without a frame".into()),
            _ => {
                let length = bytes.get(at + 2..at + 4).ok_or_else(cut)?;
                if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
                    components = Some(*bytes.get(at + 9).ok_or_else(cut)?);
                }
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};

    use super::*;

    fn jpeg(color: ExtendedColorType) -> Vec<u8> {
        let channels = if color == ExtendedColorType::L8 { 1 } else { 3 };
        let pixels: Vec<u8> = (0..40 * 30 * channels).map(|i| (i * 7 % 251) as u8).collect();
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
        encoder.encode(&pixels, 40, 30, color).unwrap();
        bytes
    }

    #[test]
    fn every_truncated_file_is_an_error() {
        let whole = jpeg(ExtendedColorType::Rgb8);
        let (image, remark) = color("a.jpg", &whole).unwrap();
        assert_eq!((image.height, image.width, image.pixels.len()), (30, 40, 3600));
        assert_eq!(remark, None);
        for cut in 0..whole.len() - 1 {
            let error = color("a.jpg", &whole[..cut]).unwrap_err().to_string();
            assert!(error.starts_with("a.jpg: expected a whole"), "{error}");
        }
    }

    #[test]
    fn unusual_files_give_a_remark() {
        let remark = |name: &str, bytes: &[u8]| color(name, bytes).unwrap().1.unwrap();
        assert!(remark("a.jpg", &jpeg(ExtendedColorType::L8)).contains("grey"));
        let mut png = Cursor::new(Vec::new());
        DynamicImage::new_rgb8(3, 2).write_to(&mut png, ImageFormat::Png).unwrap();
        assert!(remark("a.JPEG", png.get_ref()).contains("Png"));
        assert_eq!(color("a.png", png.get_ref()).unwrap().1, None);
        let cut = &png.get_ref()[..png.get_ref().len() - 20];
        assert!(color("a.png", cut).is_err());
        let text = color("a.jpg", b"<html>").unwrap_err().to_string();
        assert!(text.contains("another kind"), "{text}");
    }
}
