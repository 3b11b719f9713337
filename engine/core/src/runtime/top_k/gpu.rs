//! Top-k masks by a radix select on a GPU: four passes that find eight bits of the threshold each, a pass that counts
//! ties by blocks, and one that writes the masks.

use burn_backend::TensorMetadata;
use burn_wgpu::{CubeTensor, Wgpu, into_contiguous};
use prospr_shaders::{FixedKernel, TopKDigit, TopKHistogram, TopKMask, TopKScan, TopKTies};

use crate::runtime::Backed;
use crate::runtime::wgsl::{launch, output};

/// Number of scores in a block whose ties are counted together.
const BLOCK: usize = TopKTies::SHADER.items as usize;

/// Returns the masks of the `k` largest scores of all tensors together, for 0 < `k` < their number.
pub(super) fn masks(scores: Vec<CubeTensor>, k: usize) -> Vec<CubeTensor> {
    let scores: Vec<CubeTensor> = scores.into_iter().map(into_contiguous).collect();
    let (client, device) = (scores[0].client.clone(), scores[0].device.clone());
    let lens: Vec<usize> = scores.iter().map(|s| s.shape().num_elements()).collect();
    let small = |n: usize| u32::try_from(n).expect("a tensor of a GPU has fewer than 2³² elements");

    // Digits found so far, rank among the remaining scores, and counts of the next digit.
    let mut state = vec![0; 2 + 256];
    state[1] = small(k);
    let state = client.create_from_slice(bytemuck::cast_slice(&state));
    for shift in [24, 16, 8, 0] {
        let mask = u32::MAX.checked_shl(shift + 8).unwrap_or(0);
        for (scores, &len) in scores.iter().zip(&lens) {
            let params = TopKHistogram { len: small(len), mask, shift };
            launch(&client, &params, len, &[&scores.handle, &state]);
        }
        launch(&client, &TopKDigit { shift }, 1, &[&state]);
    }

    let firsts: Vec<usize> = lens
        .iter()
        .scan(0, |next, len| {
            let first = *next;
            *next += len.div_ceil(BLOCK);
            Some(first)
        })
        .collect();
    let blocks: usize = lens.iter().map(|len| len.div_ceil(BLOCK)).sum();
    let ties = client.empty(4 * blocks);
    let tensors = || scores.iter().zip(&lens).zip(&firsts);
    for ((scores, &len), &first) in tensors() {
        let params = TopKTies { len: small(len), first: small(first) };
        launch(&client, &params, len, &[&scores.handle, &state, &ties]);
    }
    let params = TopKScan { blocks: small(blocks) };
    launch(&client, &params, 1, &[&ties]);
    let bool = Wgpu::bool_dtype(&device).into();
    tensors()
        .map(|((scores, &len), &first)| {
            let shape: Vec<usize> = scores.shape().to_vec();
            let out = output(&client, &device, &shape, bool);
            let params = TopKMask { len: small(len), first: small(first) };
            let buffers = [&scores.handle, &state, &ties, &out.handle];
            launch(&client, &params, len, &buffers);
            out
        })
        .collect()
}
