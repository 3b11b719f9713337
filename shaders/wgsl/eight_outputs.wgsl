
// Entry point of kernels that compute output `at` in `element(at, p)`: eight outputs per invocation.

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    // Read once for eight outputs: software rasterizers read parameters one by one.
    let p = params;
    let first = (group.y * groups.x + group.x) * 512u + lane;
    for (var i = 0u; i < 8u; i++) {
        let at = first + i * 64u;
        if at < p.len {
            element(at, p);
        }
    }
}
