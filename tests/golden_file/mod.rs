//! Golden vectors: the tensors of a safetensors file, by name.

use std::fs;

use safetensors::SafeTensors;

/// A file of them.
pub struct GoldenFile(Vec<u8>);

impl GoldenFile {
    pub fn read(path: &str) -> Self {
        Self(fs::read(path).unwrap())
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        file.tensor(name).unwrap().data().to_vec()
    }

    pub fn numbers(&self, name: &str) -> Vec<f32> {
        let bytes = self.bytes(name);
        let words = bytes.chunks_exact(4);
        words
            .map(|word| f32::from_le_bytes(word.try_into().unwrap()))
            .collect()
    }

    pub fn items(&self, name: &str) -> Vec<u32> {
        let bytes = self.bytes(name);
        let words = bytes.chunks_exact(8);
        words
            .map(|word| i64::from_le_bytes(word.try_into().unwrap()))
            .map(|item| u32::try_from(item).unwrap())
            .collect()
    }
}
