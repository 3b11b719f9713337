//! Selection of devices and transfer of tensors.

use prospr::prelude::*;

use crate::support::{each_device, gpu};

#[test]
fn selectors_choose_devices_or_are_errors() {
    let gpu = gpu();
    assert_eq!(Device::select("gpu:0").unwrap(), Device::list()[0].selector.parse_device());
    assert_eq!(Device::select("cpu").unwrap(), Device::cpu());
    let part = &gpu.info().name[..4];
    assert_eq!(Device::select(&format!("gpu:{}", part.to_uppercase())).unwrap(), gpu);
    for wrong in ["gpu:99", "gpu:no such card", "tpu", "", "cpu:1"] {
        let message = Device::select(wrong).unwrap_err().to_string();
        assert!(message.contains("cpu: ") && message.contains("gpu:0: "), "{message}");
    }
}

trait ParseDevice {
    fn parse_device(&self) -> Device;
}

impl ParseDevice for String {
    fn parse_device(&self) -> Device {
        Device::select(self).unwrap()
    }
}

#[test]
fn tensors_move_and_keep_their_values() {
    let (cpu, gpu) = (Device::cpu(), gpu());
    let x = Key::new(1).normal(&[3, 5], DType::F32, &cpu);
    let there = x.to_device(&gpu).unwrap();
    assert_eq!(there.to_device(&cpu).unwrap().to_vec::<f32>().unwrap(), x.to_vec::<f32>().unwrap());
    let double = Key::new(1).normal(&[3], DType::F64, &cpu);
    let error = double.to_device(&gpu).unwrap_err().to_string();
    assert!(error.contains("64-bit"), "{error}");
}

#[test]
#[should_panic(expected = "inputs live on different devices")]
fn inputs_on_different_devices_panic() {
    let x = Tensor::ones(&[1], DType::F32, &Device::cpu());
    let _ = &x + x.full_like(1.0).to_device(&gpu()).unwrap();
}

#[test]
fn types_and_lengths_are_checked() {
    each_device(|device, _| {
        let x = Tensor::new(&[1i32, 2], &[2], device).unwrap();
        assert!(matches!(x.to_vec::<f32>(), Err(Error::DType { .. })));
        assert!(matches!(x.item(), Err(Error::Length { .. })));
        assert!(matches!(
            Tensor::new(&[1f32; 3], &[2, 2], device),
            Err(Error::Length { expected: 4, found: 3, .. })
        ));
    });
}

#[test]
fn memory_is_accounted_for() {
    let device = Device::cpu();
    let x = Tensor::new(&vec![1f64; 1 << 16], &[1 << 16], &device).unwrap();
    assert!(device.memory().live >= x.bytes() && device.memory().peak >= device.memory().live);
}
