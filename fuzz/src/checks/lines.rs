use vscpl2drv_link::wire::line::{Line, LineReader, clean};

/// Lines from bytes: they are those of the simplest reader there can be, however the bytes come,
/// and what waits for the end of its line is bounded. The first two bytes are the cap, and the size
/// of the pieces.
pub fn line(bytes: &[u8]) {
    let [cap, size, stream @ ..] = bytes else {
        return;
    };
    let (cap, size) = (usize::from(*cap), usize::from(*size) + 1);
    let expected = simply(stream, cap);
    let mut reader = LineReader::default();
    let mut found = Vec::new();
    for piece in stream.chunks(size) {
        if size.is_multiple_of(2) {
            reader.push(piece);
        } else {
            reader.room().extend_from_slice(piece);
            reader.filled(piece.len());
        }
        while let Some(line) = reader.next_line(cap) {
            found.push(match line {
                Line::Text(text) => Some(text.to_vec()),
                Line::TooLong => None,
            });
        }
        // The CR of a line that is just short enough.
        assert!(reader.room().len() <= cap + 1);
    }
    assert_eq!(found, expected);
    for text in expected.iter().flatten() {
        if let Some(text) = clean(text) {
            assert!(!text.contains('\0'));
            assert_eq!(
                clean(text.as_bytes()).as_deref(),
                Some(&*text),
                "clean stays clean"
            );
        }
    }
}

/// What is behind the last LF is no line yet; `None` is one that was too long.
fn simply(stream: &[u8], cap: usize) -> Vec<Option<Vec<u8>>> {
    let mut lines: Vec<&[u8]> = stream.split(|&byte| byte == b'\n').collect();
    lines.pop();
    let without_cr = lines
        .into_iter()
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    without_cr
        .map(|line| (line.len() <= cap).then(|| line.to_vec()))
        .collect()
}
