
// Entry point of kernels whose function `element(at, p)` computes output `at`. Each invocation computes eight outputs.

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    // Parameters are read once for eight outputs, because software rasterizers read them one by one.
    let p = params;
    let first = (group.y * groups.x + group.x) * 512u + lane;
    for (var i = 0u; i < 8u; i++) {
        let at = first + i * 64u;
        if at < p.len {
            element(at, p);
        }
    }
}
