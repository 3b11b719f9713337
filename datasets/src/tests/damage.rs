//! Damaged data sets: all problems are reported at once, with the files' names.

use std::sync::Arc;

use prospr_engine::Key;

use super::*;
use crate::{Skipped, check, load};

/// Writes TinyImageNet's layout with three classes of two images each, and three test images.
pub fn tiny_imagenet(root: &Folder) {
    let write = |name: &str, bytes: &[u8]| {
        root.write(&format!("tiny-imagenet-200/{name}"), bytes);
    };
    write("wnids.txt", b"n02124075\nn01443537\nn01629819\n");
    write("words.txt", b"n01443537\tgoldfish, Carassius auratus\n");
    for (seed, wnid) in ["n02124075", "n01443537", "n01629819"].iter().enumerate() {
        for image in 0..2 {
            let bytes = jpeg(64, 64, 2 * seed + image);
            write(&format!("train/{wnid}/images/{wnid}_{image}.JPEG"), &bytes);
        }
        write(&format!("train/{wnid}/{wnid}_boxes.txt"), b"n_0.JPEG\t0\t10\t63\t58\n");
        write(&format!("val/images/val_{seed}.JPEG"), &jpeg(64, 64, seed));
    }
    write(
        "val/val_annotations.txt",
        b"val_0.JPEG\tn02124075\t0\t32\t44\t62\nval_1.JPEG\tn01443537\t52\t55\t57\t59\nval_2.JPEG\tn01443537\t4\t0\t60\t55\n",
    );
    write("test/images/test_0.JPEG", &jpeg(64, 64, 9));
}

#[test]
fn all_problems_of_tiny_imagenet_are_reported() {
    let root = Folder::new();
    tiny_imagenet(&root);
    let folder = root.path().join("tiny-imagenet-200");
    std::fs::remove_dir_all(folder.join("train/n01629819")).unwrap();
    let image = folder.join("train/n02124075/images/n02124075_0.JPEG");
    let bytes = std::fs::read(&image).unwrap();
    std::fs::write(&image, &bytes[..bytes.len() / 2]).unwrap();
    let small = folder.join("train/n02124075/images/n02124075_1.JPEG");
    std::fs::write(&small, jpeg(32, 64, 0)).unwrap();
    let grey = folder.join("train/n01443537/images/n01443537_0.JPEG");
    std::fs::write(&grey, grey_jpeg(64, 64)).unwrap();
    let cmyk = folder.join("train/n01443537/images/n01443537_1.JPEG");
    std::fs::write(&cmyk, include_bytes!("cmyk.jpg")).unwrap();
    let annotations =
        "val_0.JPEG\tn99999999\t0\t0\t1\t1\nval_7.JPEG\tn01443537\t0\t0\t1\t1\nval_1.JPEG\n";
    std::fs::write(folder.join("val/val_annotations.txt"), annotations).unwrap();

    let report = check("tiny-imagenet", Some(root.path())).unwrap();
    let problems = &report.problems;
    has(problems, &["train/n01629819/images", "no such folder"]);
    has(problems, &["n02124075_0.JPEG", "cut short"]);
    has(problems, &["n02124075_1.JPEG", "64 × 64", "64 × 32"]);
    has(problems, &["n01443537_1.JPEG", "64 × 64", "12 × 16"]);
    has(problems, &["val_annotations.txt", "val_0.JPEG", "n99999999"]);
    has(problems, &["val_annotations.txt", "val_7.JPEG"]);
    has(problems, &["val_annotations.txt", "line 3"]);
    has(problems, &["a line for val/images/val_1.JPEG"]);
    has(problems, &["a line for val/images/val_2.JPEG"]);
    assert_eq!(problems.len(), 9, "{problems:#?}");
    has(&report.remarks, &["n01443537_0.JPEG", "grey"]);
    let error = load("tiny-imagenet", Some(root.path())).err().unwrap();
    let error = error.to_string();
    assert!(error.contains("5 more problems"), "{error}");
    assert!(error.contains("data check"), "{error}");
}

#[test]
fn all_problems_of_imagenet_are_reported() {
    let root = Folder::new();
    imagenet(&root, 3, [2, 1]);
    root.write("train/n01440764/n01440764_0.JPEG", include_bytes!("cmyk.jpg"));
    root.write("train/n01440764/n01440764_1.JPEG", grey_jpeg(60, 50));
    root.write("train/n01440765/n01440765_9.JPEG", b"");
    std::fs::remove_dir_all(root.path().join("val/n01440766")).unwrap();
    std::fs::create_dir(root.path().join("train/n01440770")).unwrap();
    let report = check("imagenet", Some(root.path())).unwrap();
    has(&report.problems, &["val/n01440766", "no such folder"]);
    has(&report.problems, &["train/n01440770", "no image"]);
    has(&report.problems, &["val/n01440770", "no such folder"]);
    has(&report.problems, &["n01440765_9.JPEG", "empty"]);
    assert_eq!(report.problems.len(), 4, "{report:#?}");
    has(&report.remarks, &["n01440764_0.JPEG", "CMYK"]);
    has(&report.remarks, &["n01440764_1.JPEG", "grey"]);
    has(&report.remarks, &["4 classes", "1000"]);
}

#[test]
fn all_problems_of_cifar_are_reported() {
    let root = Folder::new();
    let write = |name: &str, bytes: &[u8]| {
        root.write(&format!("cifar-10-batches-bin/{name}.bin"), bytes);
    };
    for batch in 2..=5 {
        write(&format!("data_batch_{batch}"), &[0; 3073]);
    }
    write("data_batch_3", &[0; 3072]);
    write("test_batch", &[0; 2 * 3073]);
    let report = check("cifar-10", Some(root.path())).unwrap();
    has(&report.problems, &["data_batch_1.bin", "No such file"]);
    has(&report.problems, &["data_batch_3.bin", "3073", "3072 bytes"]);
    write("data_batch_1", &[0; 3073]);
    let bad: Vec<u8> = [vec![0; 3073], vec![10; 3073]].concat();
    write("data_batch_3", &bad);
    let report = check("cifar-10", Some(root.path())).unwrap();
    has(&report.problems, &["data_batch_3.bin", "below 10", "label 10 at image 1"]);
}

#[test]
fn a_damaged_image_is_an_error_or_is_counted() {
    let root = Folder::new();
    imagenet(&root, 4, [5, 1]);
    let damaged = root.write("train/n01440765/n01440765_3.JPEG", &jpeg(300, 260, 1)[..9000]);
    let data = load("imagenet", Some(root.path())).unwrap();
    let stops = loader(&data, 5);
    let errors: Vec<String> =
        stops.epoch(Key::new(2)).filter_map(|batch| batch.err().map(|e| e.to_string())).collect();
    assert_eq!(errors.len(), 1);
    has(&errors, &[&damaged.display().to_string(), "cut short"]);

    let skipped = Arc::new(Skipped::default());
    let counts = Loader { skipped: Some(skipped.clone()), ..loader(&data, 5) };
    assert_eq!(skipped.so_far(), None);
    for passes in 1..=2 {
        let mut sizes: Vec<usize> = values(counts.epoch(Key::new(passes)))
            .iter()
            .map(|(images, labels)| {
                assert_eq!(images.len(), labels.len() * 3 * 224 * 224);
                labels.len()
            })
            .collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [4, 5, 5, 5]);
        let (count, first) = skipped.so_far().unwrap();
        assert_eq!(count, passes as usize);
        has(&[first], &["n01440765_3.JPEG"]);
    }
    // A batch whose images are all damaged is an error even with `skipped`.
    let alone = Loader { batch_size: 1, ..counts };
    let errors: Vec<String> =
        alone.in_order().filter_map(|batch| batch.err().map(|e| e.to_string())).collect();
    has(&errors, &["all 1 images of a batch", "n01440765_3.JPEG"]);
}
