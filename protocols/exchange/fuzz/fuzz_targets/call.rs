//! What connector and server say to each other: no panic, and what is read is written and read to the same.
#![no_main]

use lanyard_exchange::calls::{Batch, Hello, Results, Work};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(work) = serde_json::from_slice::<Work>(bytes) {
        assert_eq!(serde_json::from_slice::<Work>(&serde_json::to_vec(&work).unwrap()).unwrap(), work);
    }
    if let Ok(results) = serde_json::from_slice::<Results>(bytes) {
        assert_eq!(serde_json::from_slice::<Results>(&serde_json::to_vec(&results).unwrap()).unwrap(), results);
    }
    let _ = (serde_json::from_slice::<Batch>(bytes), serde_json::from_slice::<Hello>(bytes));
});
