//! Reading of the published folder layouts.

use image::{GrayImage, ImageBuffer, Luma};

use super::*;
use crate::{check, load};

/// A record of CIFAR's binary files: image `seed` has pixels `seed`, `seed + 1`, … in its planes.
fn record(labels: &[u8], seed: u8) -> Vec<u8> {
    let pixels = (0..3072).map(|i| (i / 1024 * 50) as u8 + seed + (i % 7) as u8);
    labels.iter().copied().chain(pixels).collect()
}

fn cifar10(root: &Folder) {
    for batch in 1..=5 {
        let records = [record(&[batch], 2 * batch), record(&[9], 2 * batch + 1)].concat();
        root.write(&format!("cifar-10-batches-bin/data_batch_{batch}.bin"), records);
    }
    root.write("cifar-10-batches-bin/test_batch.bin", record(&[7], 40));
    let names = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";
    root.write("cifar-10-batches-bin/batches.meta.txt", names);
}

#[test]
fn cifar10_binary() {
    let root = Folder::new();
    cifar10(&root);
    for folder in [root.path(), &root.path().join("cifar-10-batches-bin")] {
        let data = load("cifar-10", Some(folder)).unwrap();
        assert_eq!((data.train.len(), data.test.len(), data.classes), (10, 1, 10));
        let classes: Vec<usize> = (0..10).map(|i| class(&data.train, i)).collect();
        assert_eq!(classes, [1, 9, 2, 9, 3, 9, 4, 9, 5, 9]);
        assert_eq!(data.augment.crop_padding, 4);
    }
    root.write("cifar-10-binary.tar.gz", "not what was published");
    let report = check("cifar-10", Some(root.path())).unwrap();
    let [problem] = &report.problems[..] else {
        panic!("{report:?}");
    };
    assert!(problem.contains("cifar-10-binary.tar.gz: expected the MD5 c32a1d4a"), "{problem}");
    std::fs::remove_file(root.path().join("cifar-10-binary.tar.gz")).unwrap();
    let data = load("cifar-10", Some(root.path())).unwrap();
    let (images, labels) = &values(plain(&data.test, 1).in_order())[0];
    let expected: Vec<f32> = record(&[], 40).iter().map(|&b| f32::from(b) / 255.0).collect();
    assert!(images.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6));
    assert_eq!(labels, &[7]);
    let report = check("cifar-10", Some(root.path())).unwrap();
    assert_eq!(report, crate::Report { images: 11, ..Default::default() });
}

/// A file of CIFAR's Python archives as published: a Python 2 pickle of a NumPy array and a list.
fn pickled(key: &str, labels: &[u8], records: &[u8]) -> Vec<u8> {
    let text = |text: &str| [b"U", &[text.len() as u8][..], text.as_bytes()].concat();
    let mut bytes = b"\x80\x02}(".to_vec();
    bytes.extend(text(key));
    bytes.extend(b"](");
    labels.iter().for_each(|&label| bytes.extend([b'K', label]));
    bytes.push(b'e');
    bytes.extend(text("data"));
    bytes.extend(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R");
    bytes.extend([b'(', b'K', 1, b'K', labels.len() as u8, b'M', 0, 12, 0x86]);
    bytes.extend(b"cnumpy\ndtype\nU\x02u1K\0K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T");
    bytes.extend((records.len() as u32).to_le_bytes());
    bytes.extend(records);
    bytes.extend(b"tbu.");
    bytes
}

#[test]
fn cifar_for_python_is_the_same_data() {
    let (binary, python) = (Folder::new(), Folder::new());
    cifar10(&binary);
    let records = |seeds: [u8; 2]| seeds.map(|seed| record(&[], seed)).concat();
    for batch in 1..=5 {
        let bytes = pickled("labels", &[batch, 9], &records([2 * batch, 2 * batch + 1]));
        python.write(&format!("cifar-10-batches-py/data_batch_{batch}"), bytes);
    }
    python.write("cifar-10-batches-py/test_batch", pickled("labels", &[7], &record(&[], 40)));
    let batches = |root: &Folder| {
        let data = load("cifar-10", Some(root.path())).unwrap();
        let all = |split| values(plain(split, 2).in_order());
        (all(&data.train), all(&data.test))
    };
    assert!(batches(&binary) == batches(&python));

    let root = Folder::new();
    root.write("train", pickled("fine_labels", &[99, 0], &records([1, 2])));
    root.write("test", pickled("fine_labels", &[100], &record(&[], 3)));
    let error = load("cifar-100", Some(root.path())).err().unwrap().to_string();
    assert!(error.contains("test: expected labels below 100"), "{error}");
    root.write("test", &pickled("fine_labels", &[55], &record(&[], 3))[..2000]);
    let error = load("cifar-100", Some(root.path())).err().unwrap().to_string();
    assert!(error.contains("test: expected a pickled dictionary"), "{error}");
    root.write("test", pickled("coarse_labels", &[5], &record(&[], 3)));
    let error = load("cifar-100", Some(root.path())).err().unwrap().to_string();
    assert!(error.contains("an entry `fine_labels`"), "{error}");
}

#[test]
fn cifar100_binary_takes_the_fine_label() {
    let root = Folder::new();
    let train = [record(&[3, 99], 1), record(&[19, 0], 2)].concat();
    root.write("cifar-100-binary/train.bin", train);
    root.write("cifar-100-binary/test.bin", record(&[4, 55], 3));
    let data = load("cifar-100", Some(root.path())).unwrap();
    assert_eq!([class(&data.train, 0), class(&data.train, 1)], [99, 0]);
    assert_eq!((class(&data.test, 0), data.classes), (55, 100));
    let report = check("cifar-100", Some(root.path())).unwrap();
    has(&report.remarks, &["fine_label_names.txt", "100"]);
}

#[test]
fn tiny_imagenet_as_distributed() {
    let root = Folder::new();
    super::damage::tiny_imagenet(&root);
    let data = load("tiny-imagenet", Some(root.path())).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.classes), (6, 3, 3));
    // Classes are numbered in alphabetical order, although wnids.txt has another order.
    for index in 0..6 {
        let name = data.train.source.name(index);
        let wnid = name.split('/').rev().nth(2).unwrap();
        let number = ["n01443537", "n01629819", "n02124075"];
        assert_eq!(number[class(&data.train, index)], wnid);
    }
    let mut classes: Vec<(String, usize)> =
        (0..3).map(|i| (data.test.source.name(i), class(&data.test, i))).collect();
    classes.sort();
    assert_eq!(classes.iter().map(|c| c.1).collect::<Vec<_>>(), [2, 0, 0]);
    let batches = values(loader(&data, 3).epoch(prospr_engine::Key::new(1)));
    assert_eq!((batches.len(), batches[0].0.len()), (2, 3 * 3 * 64 * 64));
    let report = check("tiny-imagenet", Some(&root.path().join("tiny-imagenet-200"))).unwrap();
    assert_eq!((report.images, &report.problems[..]), (9, &[][..]));
}

#[test]
fn imagenet_has_more_classes_than_a_byte() {
    let root = Folder::new();
    imagenet(&root, 300, [1, 1]);
    let data = load("imagenet", Some(root.path())).unwrap();
    assert_eq!(data.classes, 300);
    let mut classes: Vec<usize> = (0..300).map(|i| class(&data.train, i)).collect();
    // Neighbours belong to different classes.
    assert!(classes.windows(2).filter(|w| w[0].abs_diff(w[1]) < 2).count() < 10);
    classes.sort_unstable();
    assert_eq!(classes, (0..300).collect::<Vec<_>>());
    let tested = &values(plain(&data.test, 4).in_order())[0];
    assert_eq!((tested.0.len(), tested.1.len()), (4 * 3 * 224 * 224, 4));
}

#[test]
fn any_folder_of_images() {
    let root = Folder::new();
    for (part, class, seed) in
        [("train", "cats", 0), ("train", "dogs", 1), ("test", "cats", 2), ("test", "dogs", 3)]
    {
        root.write(&format!("{part}/{class}/a.jpg"), jpeg(40, 48, seed));
        root.write(&format!("{part}/{class}/notes.txt"), "not an image");
    }
    let data = load("image-folder", Some(root.path())).unwrap();
    assert_eq!((data.train.shape, data.classes), ([3, 40, 40], 2));
    assert_eq!((data.train.len(), data.test.len()), (2, 2));
    assert_eq!(values(plain(&data.test, 2).in_order())[0].0.len(), 2 * 3 * 40 * 40);
}

#[test]
fn a_progressive_jpeg() {
    let bytes = include_bytes!("progressive.jpg");
    let (image, remark) = crate::decode::color("p.jpg", bytes).unwrap();
    assert_eq!((image.height, image.width, remark), (21, 33, None));
    assert!(crate::decode::color("p.jpg", &bytes[..bytes.len() - 3]).is_err());
}

/// Frames of 20 × 30 pixels whose left part is a cell; frame `n` has brightness `10 n`.
fn cell_sequence(root: &Folder, sequence: &str, frames: u32, gold: &[u32]) {
    let folder = |name: &str| {
        let path = root.path().join("DIC-C2DH-HeLa").join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    };
    for number in 0..frames {
        let frame = GrayImage::from_pixel(30, 20, Luma([10 * number as u8]));
        let file = format!("t{number:03}.tif");
        frame.save(folder(sequence).join(file)).unwrap();
        let mask = |width: u32| {
            ImageBuffer::from_fn(30, 20, move |x, _| Luma([if x < width { 300u16 } else { 0 }]))
        };
        let file = format!("man_seg{number:03}.tif");
        let silver = folder(&format!("{sequence}_ST/SEG"));
        mask(15).save(silver.join(&file)).unwrap();
        if gold.contains(&number) {
            let gold = folder(&format!("{sequence}_GT/SEG"));
            mask(10).save(gold.join(&file)).unwrap();
        }
    }
}

#[test]
fn cells_have_a_label_for_each_pixel() {
    let root = Folder::new();
    cell_sequence(&root, "01", 6, &[2]);
    cell_sequence(&root, "02", 4, &[]);
    let data = load("dic-c2dh-hela", Some(root.path())).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (7, 3));
    assert_eq!(data.logits(), [2, 256, 256]);
    let again = load("dic-c2dh-hela", Some(root.path())).unwrap();
    let mut names: Vec<String> = (0..3).map(|i| data.test.source.name(i)).collect();
    assert!((0..3).all(|i| names[i] == again.test.source.name(i)));
    names.extend((0..7).map(|i| data.train.source.name(i)));
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 10);

    for split in [&data.train, &data.test] {
        let served = values(plain(split, 1).in_order());
        for (index, (image, labels)) in served.into_iter().enumerate() {
            assert_eq!((image.len(), labels.len()), (256 * 256, 256 * 256));
            let name = split.source.name(index);
            let gold = name.ends_with("01/t002.tif");
            let share = if gold { 1.0 / 3.0 } else { 0.5 };
            let cells = labels.iter().filter(|&&l| l == 1).count() as f64 / 65536.0;
            assert!((cells - share).abs() < 0.01, "{name}: {cells}");
            assert!(labels.iter().all(|l| (0..=1).contains(l)));
        }
    }
    let batch = loader(&data, 2).epoch(prospr_engine::Key::new(0)).next();
    let batch = batch.unwrap().unwrap();
    assert_eq!(batch.labels.shape(), [2, 256, 256]);
    assert_eq!(batch.images.shape(), [2, 1, 256, 256]);

    // A flip changes image and labels together.
    let flipped =
        Loader { augment: Augment { flip: true, ..Augment::default() }, ..plain(&data.train, 7) };
    let (_, labels) = &values(flipped.epoch(prospr_engine::Key::new(3)))[0];
    let corners: Vec<i32> = labels.iter().step_by(65536).copied().collect();
    assert!(corners.contains(&0) && corners.contains(&1), "{corners:?}");

    let report = check("dic-c2dh-hela", Some(root.path())).unwrap();
    assert_eq!((report.images, report.problems.len()), (10, 0));
    let inner = root.path().join("DIC-C2DH-HeLa");
    std::fs::remove_file(inner.join("01_ST/SEG/man_seg001.tif")).unwrap();
    std::fs::write(inner.join("02/t001.tif"), b"II*\0").unwrap();
    let report = check("dic-c2dh-hela", Some(root.path())).unwrap();
    has(&report.remarks, &["01: 1 frames without a mask"]);
    has(&report.problems, &["02/t001.tif", "a whole"]);
}
