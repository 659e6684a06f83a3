#![no_main]
//! A token file. Its header's hash is made right, or nothing behind it would ever be reached.
use std::path::Path;

use kiln_fuzz::Scratch;
use kiln_data::shards::TokenFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut signed = bytes.to_vec();
    if let (Some((header, _)), false) = (signed.split_first_chunk_mut::<256>(), bytes.is_empty()) {
        let hash = *kiln_fuzz::blake3(&header[..224]).as_bytes();
        header[224..].copy_from_slice(&hash);
    }
    Scratch::with("fuzz.tokens", &signed, |scratch| read(scratch.file(), &signed));
});

fn read(path: &Path, bytes: &[u8]) {
    let tokenizer = bytes.get(48..80).and_then(|hash| hash.try_into().ok()).unwrap_or([0; 32]);
    match TokenFile::open(path, &tokenizer) {
        Err(error) => assert!(error.to_string().contains("fuzz.tokens"), "{error}"),
        Ok(file) => {
            assert!(file.len() <= bytes.len() as u64);
            let mut tokens = vec![0; file.len() as usize];
            if file.read(0, &mut tokens).is_ok() {
                assert!(tokens.iter().all(|token| (*token as usize) < file.vocabulary_size()));
            }
            let _ = file.verify();
        }
    }
}
