//! Text in columns, for terminals.

/// Rows under headings. Columns are as wide as their widest entry; what looks like a number stands to the right.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut lines = vec![headings.iter().map(|heading| heading.to_uppercase()).collect::<Vec<_>>()];
    lines.extend(rows.iter().cloned());
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|text| columns(text)).max();
    let widths: Vec<usize> = (0..headings.len()).filter_map(width).collect();
    let is_numeric = |column: usize| {
        let mut entries =
            rows.iter().filter_map(|row| row.get(column)).filter(|text| !matches!(text.as_str(), "" | "-")).peekable();
        entries.peek().is_some() && entries.all(|text| text.starts_with(|c: char| c.is_ascii_digit()))
    };
    let numeric: Vec<bool> = (0..headings.len()).map(is_numeric).collect();
    lines.iter().map(|line| aligned(line, &widths, &numeric)).collect()
}

fn aligned(line: &[String], widths: &[usize], numeric: &[bool]) -> String {
    let mut text = String::new();
    for ((entry, width), is_numeric) in line.iter().zip(widths).zip(numeric) {
        let gap = " ".repeat(width.saturating_sub(columns(entry)));
        let (before, after) = if *is_numeric { (gap.as_str(), "") } else { ("", gap.as_str()) };
        text.push_str(&format!("{before}{entry}{after}   "));
    }
    format!("{}\n", text.trim_end())
}

/// Good enough for names of Kubernetes, which are ASCII.
fn columns(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_names_to_the_left() {
        let rows = [["cart".to_owned(), "9".to_owned()].to_vec(), ["a".to_owned(), "120ms".to_owned()].to_vec()];
        assert_eq!(table(&["name", "cpu"], &rows), "NAME     CPU\ncart       9\na      120ms\n");
    }

    #[test]
    fn a_column_of_dashes_is_none_of_numbers() {
        assert_eq!(table(&["name", "of"], &[["x".to_owned(), "-".to_owned()].to_vec()]), "NAME   OF\nx      -\n");
    }
}
