// Tiled matrix product for GPUs: convolution, both its gradients, batched matrix products.
//
//   out[z, r, c] = Σ_k left[z, k, r] · right[z, k, c]
//
// Operands: {{operands}}. A convolution and a weight gradient gather `right` from images in NCHW layout, with zeros
// around them. A workgroup computes {{bm}} × {{bn}} outputs, an invocation (or subgroup) {{tm}} × {{tn}}. A slice of
// {{bk}} along k is loaded into registers while the slice before it, in workgroup memory, is multiplied. Arithmetic:
// {{arithmetic}}.
//
// bindings   0 left   1 right   2 out   3 params; layout by strides
// workgroup  {{threads}} × 1 × 1
// dispatch   x · y · z workgroups: x·y ≥ row tiles · column tiles, z = groups · parts
// limits     one iteration per slice (llvmpipe allows 65,535); {{memory}} bytes of workgroup memory
// reference  Flex's conv2d, conv_transpose2d, conv2d_weight_backward and matmul
{{enable}}
struct Params {
    rows: u32,
    columns: u32,
    depth: u32,
    row_tiles: u32,
    column_tiles: u32,
    groups: u32,
    // Strides of left and right: group (a matrix in a batch), k, row or column.
    left_group: u32,
    left_k: u32,
    left_row: u32,
    right_group: u32,
    right_k: u32,
    right_column: u32,
    // Numbers of output pixels of one image and of one row; stride of the convolution; height and width of the
    // gathered images.
    grid: u32,
    grid_width: u32,
    stride: vec2<u32>,
    size: vec2<u32>,
    channels: u32,
    // Length of k in a part.
    part_depth: u32,
    out_layout: OutLayout,
    tap_count: u32,
    left_tap: u32,
    taps: array<vec4<i32>>, // row, column, index in w, 0
}

@group(0) @binding(0) var<storage, read_write> left: array<{{left_type}}>;
@group(0) @binding(1) var<storage, read_write> right: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<{{out_type}}>;
@group(0) @binding(3) var<storage, read_write> params: Params;

var<workgroup> lefts: array<{{operand}}, {{lefts}}>;
var<workgroup> rights: array<{{operand}}, {{rights}}>;
{{memories}}
@compute @workgroup_size({{threads}}, 1, 1)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let tile = workgroup.y * groups.x + workgroup.x;
    let row0 = tile % params.row_tiles * {{bm}}u;
    let column0 = tile / params.row_tiles * {{bn}}u;
    let g = workgroup.z % params.groups;
    let s = workgroup.z / params.groups;
    let tx = thread / {{lanes}}u % {{across}}u;
    let ty = thread / {{lanes}}u / {{across}}u;
{{sums}}
{{prepare}}
    for (var slice = 0u; slice <= slices; slice++) {
        if slice < slices {
{{fetch}}
        }
        {{if_loaded}} {
            for (var k = 0u; k < {{bk}}u; k += {{step}}u) {
{{product}}
            }
        }
        workgroupBarrier();
        if slice < slices {
{{stash}}
        }
        workgroupBarrier();
    }
{{store}}
}
