//! By four passes of eight bits, a pass that counts ties by blocks, and one that writes.

use burn_backend::TensorMetadata;
use burn_wgpu::{CubeTensor, Wgpu, into_contiguous};
use prospr_shaders as shaders;

use crate::runtime::Backed;
use crate::runtime::wgsl::{launch, output};

/// Scores that a workgroup counts, and those of a block of ties.
const COUNTED: usize = 16_384;
const BLOCK: usize = 2_048;

/// The masks of the `k` largest, `0 < k <` all.
pub(super) fn masks(scores: Vec<CubeTensor>, k: usize) -> Vec<CubeTensor> {
    let scores: Vec<CubeTensor> = scores.into_iter().map(into_contiguous).collect();
    let (client, device) = (scores[0].client.clone(), scores[0].device.clone());
    let lens: Vec<usize> = scores.iter().map(|s| s.shape().num_elements()).collect();
    let small = |n: usize| u32::try_from(n).expect("a tensor of a GPU has fewer than 2³² elements");
    // Invocations for workgroups of this many scores.
    let invocations = |len: usize, block: usize| (len.div_ceil(block) * 256) as u64;

    // The decided digits, how many are still to be found, and counts of the next digit.
    let mut state = vec![0; 2 + 256];
    state[1] = small(k);
    let state = client.create_from_slice(bytemuck::cast_slice(&state));
    for shift in [24, 16, 8, 0] {
        let decided = u32::MAX.checked_shl(shift + 8).unwrap_or(0);
        for (scores, &len) in scores.iter().zip(&lens) {
            launch(
                &client,
                shaders::TOP_K_HISTOGRAM,
                invocations(len, COUNTED),
                &[&scores.handle, &state],
                &[small(len), decided, shift, 0],
            );
        }
        launch(&client, shaders::TOP_K_DIGIT, 256, &[&state], &[shift; 4]);
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
        launch(
            &client,
            shaders::TOP_K_TIES,
            invocations(len, BLOCK),
            &[&scores.handle, &state, &ties],
            &[small(len), small(first)],
        );
    }
    launch(
        &client,
        shaders::TOP_K_SCAN,
        256,
        &[&ties],
        &[small(blocks)],
    );
    let bool = Wgpu::bool_dtype(&device).into();
    tensors()
        .map(|((scores, &len), &first)| {
            let shape: Vec<usize> = scores.shape().to_vec();
            let out = output(&client, &device, &shape, bool);
            launch(
                &client,
                shaders::TOP_K_MASK,
                invocations(len, BLOCK),
                &[&scores.handle, &state, &ties, &out.handle],
                &[small(len), small(first)],
            );
            out
        })
        .collect()
}
