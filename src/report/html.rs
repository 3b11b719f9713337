//! The HTML page of a report, which includes its style sheet and its pictures.

use std::fmt::Write;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plotters::style::RGBColor;

use super::colors::{AXIS, FAINT, GRID, INK, MUTED, PAPER};
use super::picture::Picture;
use super::text::escape;
use crate::write_atomically;

/// Replacements of the pictures' colours in dark mode.
const DARK: [(RGBColor, &str); 6] = [
    (INK, "#E6EDF3"),
    (MUTED, "#9DA7B3"),
    (AXIS, "#5B646E"),
    (GRID, "#2A3037"),
    (PAPER, "#15191E"),
    (FAINT, "#1F3D50"),
];

/// An HTML page under construction. Its methods escape all texts.
pub struct Page {
    title: String,
    body: String,
}

/// The contents of a table's cell.
pub enum Cell {
    /// Plain text.
    Text(String),
    /// A link to a path relative to the page.
    Link {
        /// The path.
        to: String,
        /// The text of the link.
        text: String,
    },
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::Text(text.into())
    }
}

impl Cell {
    fn html(&self) -> String {
        match self {
            Cell::Text(text) => escape(text),
            Cell::Link { to, text } => format!("<a href=\"{}\">{}</a>", escape(to), escape(text)),
        }
    }
}

/// Format of a picture inside the page. In both cases a PNG file is also written next to the page.
#[derive(Clone, Copy)]
pub enum Inline {
    /// SVG, which follows the page's dark mode.
    Svg,
    /// The PNG file, as a data URL.
    Png,
}

impl Page {
    /// Creates a page that has only its title.
    pub fn new(title: &str) -> Page {
        Page { title: title.into(), body: format!("<h1>{}</h1>\n", escape(title)) }
    }

    /// Adds a paragraph of a class of the style sheet.
    pub fn paragraph(&mut self, class: &str, text: &str) {
        self.body += &format!("<p class=\"{class}\">{}</p>\n", escape(text));
    }

    /// Adds the title of a section.
    pub fn heading(&mut self, text: &str) {
        self.body += &format!("<h2>{}</h2>\n", escape(text));
    }

    /// Adds a table of names and values.
    pub fn facts(&mut self, facts: &[(&str, String)]) {
        self.body += "<table class=\"facts\">\n";
        for (name, value) in facts {
            let row = format!("<tr><th scope=\"row\">{name}</th><td>{}</td></tr>\n", escape(value));
            self.body += &row;
        }
        self.body += "</table>\n";
    }

    /// Adds a table of numbers; the first cell of each row is its name. If `total` is true, the last row is the sum.
    pub fn table(&mut self, columns: &[&str], rows: &[Vec<Cell>], total: bool) {
        self.body += "<div class=\"wide\"><table class=\"numbers\">\n<thead><tr>";
        for column in columns {
            self.body += &format!("<th scope=\"col\">{}</th>", escape(column));
        }
        self.body += "</tr></thead>\n<tbody>\n";
        for (i, row) in rows.iter().enumerate() {
            if total && i + 1 == rows.len() {
                self.body += "</tbody>\n<tfoot>\n";
            }
            self.body += "<tr>";
            for (i, cell) in row.iter().enumerate() {
                let cell = cell.html();
                self.body += &match i {
                    0 => format!("<th scope=\"row\">{cell}</th>"),
                    _ => format!("<td>{cell}</td>"),
                };
            }
            self.body += "</tr>\n";
        }
        self.body += if total { "</tfoot>\n" } else { "</tbody>\n" };
        self.body += "</table></div>\n";
    }

    /// Adds a picture with its caption, and writes its PNG file into the page's folder.
    ///
    /// # Errors
    /// If the picture cannot be drawn or written.
    pub fn figure(
        &mut self,
        dir: &Path,
        file: &str,
        picture: &impl Picture,
        inline: Inline,
        caption: &str,
    ) -> anyhow::Result<()> {
        let png = picture.png()?;
        write_atomically(&dir.join(file), &png)?;
        let drawn = match inline {
            Inline::Svg => picture.svg()?,
            Inline::Png => format!(
                "<img alt=\"{}\" src=\"data:image/png;base64,{}\">\n",
                escape(&picture.alt()),
                STANDARD.encode(&png)
            ),
        };
        let caption = escape(caption);
        self.body += &format!(
            "<figure>\n{drawn}<figcaption>{caption} <a href=\"{file}\">PNG</a></figcaption>\n</figure>\n"
        );
        Ok(())
    }

    /// Adds preformatted text that is hidden until its summary is clicked.
    pub fn details(&mut self, summary: &str, text: &str) {
        let (summary, text) = (escape(summary), escape(text));
        self.body += &format!(
            "<details>\n<summary>{summary}</summary>\n<pre><code>{text}</code></pre>\n</details>\n"
        );
    }

    /// Returns the complete HTML document.
    pub fn html(&self, version: &str) -> String {
        let mut dark = String::new();
        for (RGBColor(r, g, b), on_dark) in DARK {
            for paint in ["fill", "stroke"] {
                let selector = format!("svg [{paint}=\"#{r:02X}{g:02X}{b:02X}\"]");
                writeln!(dark, "{selector} {{ {paint}: {on_dark}; }}").ok();
            }
        }
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{style}\
             @media screen and (prefers-color-scheme: dark) {{\n{dark}}}\n</style>\n</head>\n\
             <body>\n<main>\n{body}<footer>prospr {version}</footer>\n</main>\n</body>\n</html>\n",
            title = escape(&self.title),
            style = include_str!("style.css"),
            body = self.body,
            version = escape(version),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_texts_are_escaped() {
        let evil = "<b onload=\"x\">&'\u{1b}";
        let mut page = Page::new(evil);
        page.paragraph("verdict", evil);
        page.heading(evil);
        page.facts(&[("name", evil.into())]);
        let link = Cell::Link { to: evil.into(), text: evil.into() };
        page.table(&[evil], &[vec![evil.into(), link]], false);
        page.details(evil, evil);
        let html = page.html(evil);
        assert!(!html.contains("<b ") && !html.contains('\u{1b}'));
        assert_eq!(html.matches("&lt;b onload=&quot;x&quot;&gt;&amp;&#39;").count(), 12);
    }
}
