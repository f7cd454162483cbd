//! Every defect of a bundle is found by open, by verify or by an accessor, as an error that says what is wrong.
//!
//! Each case starts from a copy of `models/tiny`, `models/tiny-oracle` or `models/tiny-values`, damages one thing, and
//! names the words that the error must hold.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use oneiro::{
    Bundle, By, CallOptions, Cancel, Engine, EngineOptions, Error, ErrorCode, Filter, Judge,
    Sampler,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A copy of a bundle in a folder of its own.
struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    fn of(bundle: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(bundle).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        Self { folder }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn manifest(&self, edit: impl FnOnce(&mut Value)) {
        let mut manifest =
            serde_json::from_slice(&fs::read(self.path("manifest.json")).unwrap()).unwrap();
        edit(&mut manifest);
        fs::write(
            self.path("manifest.json"),
            serde_json::to_vec(&manifest).unwrap(),
        )
        .unwrap();
    }

    fn text(&self, edit: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(self.path("manifest.json")).unwrap();
        fs::write(self.path("manifest.json"), edit(text)).unwrap();
    }

    /// Changes a file and the length and digest that the manifest gives for it, so that only the contents are wrong.
    fn file(&self, part: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        self.manifest(|manifest| {
            let entry = &mut manifest["parts"][part];
            let path = self.path(entry["file"].as_str().unwrap());
            let mut bytes = fs::read(&path).unwrap();
            edit(&mut bytes);
            fs::write(&path, &bytes).unwrap();
            entry["bytes"] = bytes.len().into();
            let digest: String = Sha256::digest(&bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            entry["sha256"] = digest.into();
        });
    }

    /// Changes the tensors of a safetensors part and writes it anew.
    fn tensors(&self, part: &str, edit: impl FnOnce(&mut Tensors)) {
        self.file(part, |bytes| {
            let mut tensors = Tensors::read(bytes);
            edit(&mut tensors);
            *bytes = tensors.write();
        });
    }

    /// Changes the JSON header of a safetensors part and nothing else.
    fn header(&self, part: &str, edit: impl FnOnce(&mut Value)) {
        self.file(part, |bytes| {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
            edit(&mut header);
            let header = serde_json::to_vec(&header).unwrap();
            let data = bytes.split_off(8 + length);
            *bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header);
            bytes.extend(data);
        });
    }
}

/// The tensors of a part: dtype, shape, bytes.
struct Tensors(BTreeMap<String, (String, Vec<usize>, Vec<u8>)>);

impl Tensors {
    fn read(bytes: &[u8]) -> Self {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: BTreeMap<String, Value> =
            serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let data = &bytes[8 + length..];
        let tensor = |entry: &Value| {
            let numbers =
                |value: &Value| -> Vec<usize> { serde_json::from_value(value.clone()).unwrap() };
            let offsets = numbers(&entry["data_offsets"]);
            let dtype = entry["dtype"].as_str().unwrap().to_owned();
            (
                dtype,
                numbers(&entry["shape"]),
                data[offsets[0]..offsets[1]].to_vec(),
            )
        };
        let named = header.iter().filter(|(name, _)| *name != "__metadata__");
        Self(
            named
                .map(|(name, entry)| (name.clone(), tensor(entry)))
                .collect(),
        )
    }

    fn write(&self) -> Vec<u8> {
        let mut order: Vec<_> = self.0.iter().collect();
        let width = |dtype: &str| match dtype {
            "I64" => 8,
            "F32" | "U32" => 4,
            "F16" => 2,
            _ => 1,
        };
        order.sort_by_key(|(name, (dtype, ..))| (std::cmp::Reverse(width(dtype)), (*name).clone()));
        let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
        for (name, (dtype, shape, bytes)) in order {
            let offsets = [data.len(), data.len() + bytes.len()];
            header.insert(
                name.clone(),
                json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets }),
            );
            data.extend(bytes);
        }
        let mut header = serde_json::to_vec(&Value::Object(header)).unwrap();
        header.resize(header.len().next_multiple_of(8), b' ');
        [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
    }

    fn bytes(&mut self, name: &str) -> &mut Vec<u8> {
        &mut self.0.get_mut(name).unwrap().2
    }

    fn set_u32(&mut self, name: &str, index: usize, value: u32) {
        self.bytes(name)[index * 4..index * 4 + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn set_f32(&mut self, name: &str, index: usize, value: f32) {
        self.bytes(name)[index * 4..index * 4 + 4].copy_from_slice(&value.to_le_bytes());
    }
}

/// Tries everything a caller may: open, verify, the engine, every accessor, every way to rank.
fn first_error(folder: &Path) -> Option<Error> {
    let bundle = match Bundle::open(folder) {
        Ok(bundle) => bundle,
        Err(error) => return Some(error),
    };
    let verified = bundle.verify(&Cancel::new(), &mut |_, _| {});
    // Whatever verify says: nothing that a caller does with the bundle may crash.
    let used = use_everything(&bundle);
    verified.err().or(used.err())
}

fn use_everything(bundle: &Bundle) -> oneiro::Result<()> {
    let catalog = bundle.catalog();
    let mut worst = Ok(());
    let mut note = |result: oneiro::Result<()>| {
        if worst.is_ok() {
            worst = result;
        }
    };
    for item in 0..catalog.len() {
        note(catalog.id(item).map(drop));
        note(catalog.title(item).map(drop));
        note(catalog.tags("genres", item).map(drop));
        note(catalog.integer("year", item).map(drop));
        if let Ok(id) = catalog.id(item) {
            note(catalog.item(id).map(drop));
        }
        if let Ok(Some(title)) = catalog.title(item) {
            note(catalog.find_title(title).map(drop));
        }
    }
    let engine = match Engine::from_bundle(bundle.clone(), &EngineOptions::default()) {
        Ok(engine) => engine,
        Err(error) => {
            note(Err(error));
            return worst;
        }
    };
    let mut user = engine.recommender();
    note(user.recommend(10).map(drop));
    note(user.observe_items(&[1, 2, 3]));
    note(user.recommend(10).map(drop));
    note(
        user.recommend_with(
            10,
            &Filter::new().with_tag("genres", "Drama"),
            &Default::default(),
        )
        .map(drop),
    );
    note(user.similar(1, 5).map(drop));
    for name in bundle.manifest().oracles.keys() {
        for sampler in [Sampler::Auto, Sampler::Chain] {
            let mut options = CallOptions::default();
            options.oracle.name = Some(name.clone());
            options.oracle.sampler = sampler;
            options.oracle.steps = (sampler == Sampler::Chain).then_some(1);
            note(
                user.retrieve_with(By::Oracle, 5, &Filter::default(), &options)
                    .map(drop),
            );
        }
    }
    for name in bundle.manifest().q_networks.keys() {
        let mut options = CallOptions::default();
        options.q_network.name = Some(name.clone());
        note(
            user.retrieve_with(By::QNetwork, 5, &Filter::default(), &options)
                .map(drop),
        );
        note(user.score(Judge::QNetwork, &[1], &options).map(drop));
    }
    worst
}

type Case = (&'static str, ErrorCode, &'static [&'static str], fn(&Copy));

const BAD: ErrorCode = ErrorCode::BadBundle;

/// What is damaged, the code, what the message must say, and how it is damaged.
const CASES: &[Case] = &[
    // The manifest's form.
    ("no manifest", ErrorCode::Io, &["manifest.json"], |c| {
        fs::remove_file(c.path("manifest.json")).unwrap()
    }),
    ("cut manifest", BAD, &["manifest.json", "EOF"], |c| {
        c.text(|text| text[..text.len() / 2].into())
    }),
    ("not an object", BAD, &["an object", "a list"], |c| {
        c.text(|_| "[]".into())
    }),
    ("invalid UTF-8", BAD, &["manifest.json"], |c| {
        fs::write(c.path("manifest.json"), b"{\"name\": \"\xff\"}").unwrap()
    }),
    ("repeated key", BAD, &["`seen` twice"], |c| {
        c.text(|text| text.replacen("\"seen\"", "\"seen\": \"allow\", \"seen\"", 1));
    }),
    ("repeated part", BAD, &["`items` twice"], |c| {
        c.text(|text| text.replacen("\"items\": {", "\"items\": {}, \"items\": {", 1));
    }),
    ("missing field", BAD, &["missing field `seen`"], |c| {
        c.manifest(|m| drop(m.as_object_mut().unwrap().remove("seen")))
    }),
    (
        "unknown field",
        BAD,
        &["encoders.sasrec", "unknown field `depth`"],
        |c| {
            c.manifest(|m| m["encoders"]["sasrec"]["depth"] = 2.into());
        },
    ),
    ("wrong type", BAD, &["spaces.items.width", "string"], |c| {
        c.manifest(|m| m["spaces"]["items"]["width"] = "16".into())
    }),
    (
        "newer format",
        ErrorCode::BundleVersion,
        &["format 2"],
        |c| c.manifest(|m| m["format"] = 2.into()),
    ),
    (
        "unknown feature",
        ErrorCode::BundleVersion,
        &["\"telepathy\""],
        |c| c.manifest(|m| m["requires"] = json!(["telepathy"])),
    ),
    (
        "unknown metric",
        BAD,
        &["spaces.items.metric", "manhattan"],
        |c| {
            c.manifest(|m| m["spaces"]["items"]["metric"] = "manhattan".into());
        },
    ),
    ("no items", BAD, &["catalog.items", "found 0"], |c| {
        c.manifest(|m| m["catalog"]["items"] = 0.into())
    }),
    (
        "rows and items differ",
        BAD,
        &["spaces.items.rows", "expected 40", "found 41"],
        |c| {
            c.manifest(|m| m["spaces"]["items"]["rows"] = 41.into());
        },
    ),
    (
        "unknown part",
        BAD,
        &["graphs.encoder.model", "`nothing`"],
        |c| {
            c.manifest(|m| m["graphs"]["encoder"]["model"] = "nothing".into());
        },
    ),
    (
        "unknown space",
        BAD,
        &["encoders.sasrec.output", "`nothing`"],
        |c| {
            c.manifest(|m| m["encoders"]["sasrec"]["output"] = "nothing".into());
        },
    ),
    (
        "unknown encoder",
        BAD,
        &["recipe.steps[0].encoder", "`nothing`"],
        |c| {
            c.manifest(|m| m["recipe"]["steps"][0]["encoder"] = "nothing".into());
        },
    ),
    (
        "empty window",
        BAD,
        &["encoders.sasrec.window", "found 0"],
        |c| {
            c.manifest(|m| m["encoders"]["sasrec"]["window"] = 0.into());
        },
    ),
    // Files.
    (
        "path above the folder",
        BAD,
        &["parts.items.file", "`../items.safetensors`"],
        |c| {
            c.manifest(|m| m["parts"]["items"]["file"] = "../items.safetensors".into());
        },
    ),
    (
        "absolute path",
        BAD,
        &["parts.items.file", "plain file name"],
        |c| {
            c.manifest(|m| m["parts"]["items"]["file"] = "/etc/passwd".into());
        },
    ),
    (
        "file name with NUL",
        BAD,
        &["parts.items.file", "plain file name"],
        |c| {
            c.manifest(|m| m["parts"]["items"]["file"] = "items\0.safetensors".into());
        },
    ),
    (
        "one file, two parts",
        BAD,
        &["`items.safetensors` again"],
        |c| {
            c.manifest(|m| m["parts"]["half"]["file"] = "items.safetensors".into());
        },
    ),
    (
        "missing file",
        BAD,
        &["`encoder.weights`", "no such file"],
        |c| fs::remove_file(c.path("encoder.weights")).unwrap(),
    ),
    (
        "half-copied file",
        BAD,
        &["`items`", "expected 2864 bytes", "found 1000 bytes"],
        |c| {
            fs::File::options()
                .write(true)
                .open(c.path("items.safetensors"))
                .unwrap()
                .set_len(1000)
                .unwrap();
        },
    ),
    ("folder for a file", BAD, &["`items`", "a folder"], |c| {
        fs::remove_file(c.path("items.safetensors")).unwrap();
        fs::create_dir(c.path("items.safetensors")).unwrap();
    }),
    #[cfg(unix)]
    (
        "link out of the folder",
        ErrorCode::Io,
        &["items.safetensors", "is a link"],
        |c| {
            fs::remove_file(c.path("items.safetensors")).unwrap();
            let outside = fs::canonicalize("models/tiny/items.safetensors").unwrap();
            std::os::unix::fs::symlink(outside, c.path("items.safetensors")).unwrap();
        },
    ),
    (
        "one changed byte",
        BAD,
        &["`encoder.weights`", "SHA-256"],
        |c| {
            let mut bytes = fs::read(c.path("encoder.weights")).unwrap();
            bytes[100] ^= 1;
            fs::write(c.path("encoder.weights"), bytes).unwrap();
        },
    ),
    ("swapped files", BAD, &["`half`", "bytes"], |c| {
        fs::rename(c.path("half.safetensors"), c.path("x")).unwrap();
        fs::rename(c.path("small.safetensors"), c.path("half.safetensors")).unwrap();
        fs::rename(c.path("x"), c.path("small.safetensors")).unwrap();
    }),
    // Tensor headers.
    (
        "not safetensors",
        BAD,
        &["`items`", "a safetensors file"],
        |c| c.file("items", |bytes| bytes.fill(b'x')),
    ),
    (
        "header longer than the file",
        BAD,
        &["`items`", "a safetensors file"],
        |c| {
            c.file("items", |bytes| {
                bytes[..8].copy_from_slice(&900_000u64.to_le_bytes())
            });
        },
    ),
    (
        "offsets past the end",
        BAD,
        &["`items`", "a safetensors file"],
        |c| {
            c.header("items", |h| {
                h["cold"]["data_offsets"] = json!([2624, 99999])
            });
        },
    ),
    (
        "overlapping tensors",
        BAD,
        &["`items`", "a safetensors file"],
        |c| {
            c.header("items", |h| h["rows"]["data_offsets"] = json!([0, 2560]));
        },
    ),
    (
        "overflowing shape",
        BAD,
        &["`items`", "a safetensors file"],
        |c| {
            c.header("items", |h| h["rows"]["shape"] = json!([u64::MAX, 16]));
        },
    ),
    (
        "wrong dtype",
        BAD,
        &["`rows`", "expected F32 [40, 16]", "found I32"],
        |c| c.header("items", |h| h["rows"]["dtype"] = "I32".into()),
    ),
    (
        "wrong rank",
        BAD,
        &["`rows`", "expected F32 [40, 16]", "found F32 [640]"],
        |c| {
            c.header("items", |h| h["rows"]["shape"] = json!([640]));
        },
    ),
    (
        "wrong dimension",
        BAD,
        &["`rows`", "found F32 [80, 8]"],
        |c| c.header("items", |h| h["rows"]["shape"] = json!([80, 8])),
    ),
    ("missing tensor", BAD, &["`scale`", "no such tensor"], |c| {
        c.tensors("small", |t| drop(t.0.remove("scale")))
    }),
    ("unknown tensor", BAD, &["`colour`", "unknown"], |c| {
        c.tensors("items", |t| {
            drop(t.0.insert("colour".into(), ("U8".into(), vec![1], vec![0])))
        });
    }),
    (
        "no stored empty row",
        BAD,
        &["`empty`", "no such tensor"],
        |c| c.tensors("items", |t| drop(t.0.remove("empty"))),
    ),
    ("misaligned numbers", BAD, &["multiple of 4"], |c| {
        c.file("texts", |bytes| {
            let mut tensors = Tensors::read(bytes);
            let rows = tensors.bytes("rows").clone();
            let header = br#"{"rows":{"dtype":"F32","shape":[40,8],"data_offsets":[0,1280]}}  "#;
            *bytes = [&(header.len() as u64).to_le_bytes()[..], header, &rows].concat();
        });
    }),
    ("repeated tensor", BAD, &["`items`", "`rows` twice"], |c| {
        c.file("items", |bytes| {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
            let rows = r#"{"rows":{"dtype":"F32","shape":[40,16],"data_offsets":[0,2560]},"#;
            let header = header.trim_end().replacen('{', rows, 1);
            let data = bytes.split_off(8 + length);
            *bytes = [
                &(header.len() as u64).to_le_bytes()[..],
                header.as_bytes(),
                &data,
            ]
            .concat();
        });
    }),
    (
        "window too large",
        BAD,
        &["encoders.sasrec.window", "65536 rows of 65536"],
        |c| {
            c.manifest(|m| {
                m["encoders"]["sasrec"]["window"] = 65536.into();
                m["spaces"]["items"]["width"] = 65536.into();
            });
        },
    ),
    // The catalog.
    (
        "first offset not 0",
        BAD,
        &["`ids.offsets`", "found 1"],
        |c| c.tensors("catalog", |t| t.set_u32("ids.offsets", 0, 1)),
    ),
    (
        "last offset past the end",
        BAD,
        &["`titles.offsets`"],
        |c| {
            c.tensors("catalog", |t| {
                t.set_u32("titles.offsets", 40, 4_000_000_000)
            })
        },
    ),
    ("falling offsets", BAD, &["`ids.offsets`"], |c| {
        c.tensors("catalog", |t| t.set_u32("ids.offsets", 5, 200))
    }),
    ("overflowing offset", BAD, &["`titles.offsets`"], |c| {
        c.tensors("catalog", |t| t.set_u32("titles.offsets", 7, u32::MAX))
    }),
    (
        "invalid UTF-8 in a title",
        BAD,
        &["`titles", "UTF-8"],
        |c| c.tensors("catalog", |t| t.bytes("titles.bytes")[3] = 0xff),
    ),
    ("NUL in an id", BAD, &["`ids", "NUL"], |c| {
        c.tensors("catalog", |t| t.bytes("ids.bytes")[3] = 0)
    }),
    ("duplicate ids", BAD, &["`ids"], |c| {
        c.tensors("catalog", |t| {
            let ids = t.bytes("ids.bytes");
            let first: Vec<u8> = ids[..6].to_vec();
            ids[6..12].copy_from_slice(&first);
        });
    }),
    ("order out of range", BAD, &["`ids.order`"], |c| {
        c.tensors("catalog", |t| t.set_u32("ids.order", 3, 40))
    }),
    ("order not sorted", BAD, &["`ids.order`"], |c| {
        c.tensors("catalog", |t| t.bytes("ids.order")[..8].rotate_left(4));
    }),
    (
        "title order repeats an item",
        BAD,
        &["`title_keys.order`"],
        |c| {
            c.tensors("catalog", |t| {
                let first: Vec<u8> = t.bytes("title_keys.order")[..4].to_vec();
                t.bytes("title_keys.order")[4..8].copy_from_slice(&first);
            });
        },
    ),
    (
        "tag out of range",
        BAD,
        &["`attribute.genres.values`"],
        |c| c.tensors("catalog", |t| t.set_u32("attribute.genres.values", 0, 77)),
    ),
    (
        "attribute missing",
        BAD,
        &["`attribute.mood`", "no such tensor"],
        |c| {
            c.manifest(|m| m["catalog"]["attributes"]["mood"] = "integer".into());
        },
    ),
    // Rows.
    ("NaN in a row", BAD, &["`rows`", "NaN"], |c| {
        c.tensors("items", |t| t.set_f32("rows", 17, f32::NAN))
    }),
    ("infinite scale", BAD, &["`scale`"], |c| {
        c.tensors("small", |t| t.set_f32("scale", 2, f32::INFINITY))
    }),
    ("cold is neither 0 nor 1", BAD, &["`cold`", "7"], |c| {
        c.tensors("items", |t| t.bytes("cold")[1] = 7)
    }),
    // Exact rows.
    (
        "exact rows that are no part",
        BAD,
        &["spaces.small.exact", "the name of a part", "`none`"],
        |c| {
            c.manifest(|m| m["spaces"]["small"]["exact"] = "none".into());
        },
    ),
    (
        "exact rows of exact rows",
        BAD,
        &["spaces.half.exact", "a space of i8 rows"],
        |c| {
            c.manifest(|m| m["spaces"]["half"]["exact"] = "items".into());
        },
    ),
    (
        "a part that is exact to itself",
        BAD,
        &["spaces.small.exact", "another part", "`small` again"],
        |c| {
            c.manifest(|m| m["spaces"]["small"]["exact"] = "small".into());
        },
    ),
    (
        "exact rows in a part without tensors",
        BAD,
        &["`encoder.weights`", "a safetensors file"],
        |c| {
            c.manifest(|m| m["spaces"]["small"]["exact"] = "encoder.weights".into());
        },
    ),
    (
        "exact rows of another width",
        BAD,
        &["`texts`", "expected F32 [40, 16]", "found F32 [40, 8]"],
        |c| {
            c.manifest(|m| m["spaces"]["small"]["exact"] = "texts".into());
        },
    ),
    (
        "exact rows that are none",
        BAD,
        &["`catalog`", "unknown name"],
        |c| {
            c.manifest(|m| m["spaces"]["small"]["exact"] = "catalog".into());
        },
    ),
    (
        "exact rows further than they say",
        BAD,
        &["`error`", "at least", "at 1"],
        |c| {
            c.manifest(|m| m["spaces"]["small"]["exact"] = "items".into());
            c.tensors("items", |t| t.set_f32("rows", 17, 0.5));
        },
    ),
    // Graphs.
    ("not a model", BAD, &["`encoder`", "an ONNX model"], |c| {
        c.file("encoder", |bytes| bytes.fill(0xff))
    }),
    ("empty model", BAD, &["`encoder`", "an ONNX model"], |c| {
        c.file("encoder", Vec::clear)
    }),
    (
        "weights elsewhere",
        BAD,
        &["external data", "`encoder.weighty`"],
        |c| {
            c.file("encoder", |bytes| {
                replace(bytes, b"encoder.weights", b"encoder.weighty")
            });
        },
    ),
    (
        "weights too short",
        BAD,
        &["within the 128 bytes of `encoder.weights`"],
        |c| {
            c.file("encoder.weights", |bytes| bytes.truncate(128));
        },
    ),
    (
        "unknown operator",
        BAD,
        &["`encoder`", "ONNX Runtime", "Softmaz"],
        |c| {
            c.file("encoder", |bytes| {
                let at = find(bytes, b"\x22\x07Softmax").unwrap();
                bytes[at + 8] = b'z';
            });
        },
    ),
    (
        "operator that loads files",
        BAD,
        &["operators", "`EPContext`", "`com.microsoft`"],
        |c| {
            // Protobuf messages are joined by writing one after the other: one more node for the graph.
            let node = [&b"\x22\x09EPContext"[..], b"\x3a\x0dcom.microsoft"].concat();
            let graph = [&[0x0a, node.len() as u8][..], &node].concat();
            c.file("encoder", |bytes| {
                bytes.extend([&[0x3a, graph.len() as u8][..], &graph].concat())
            });
        },
    ),
    (
        "operator of a foreign domain",
        BAD,
        &["operators", "`Custom`", "`ai.evil`"],
        |c| {
            let node = [&b"\x22\x06Custom"[..], b"\x3a\x07ai.evil"].concat();
            let graph = [&[0x0a, node.len() as u8][..], &node].concat();
            c.file("encoder", |bytes| {
                bytes.extend([&[0x3a, graph.len() as u8][..], &graph].concat())
            });
        },
    ),
    (
        "the other model format",
        BAD,
        &["`encoder`", "ORT format"],
        |c| {
            c.file("encoder", |bytes| bytes[4..8].copy_from_slice(b"ORTM"));
        },
    ),
    (
        "model with weights in it",
        BAD,
        &["`encoder`", "at most 2097152 bytes"],
        |c| {
            // A field that nobody reads, of three million bytes.
            let field = [&[0x3a | 0x80, 0x7d][..], &[0xc0, 0x8d, 0xb7, 0x01]].concat();
            c.file("encoder", |bytes| {
                bytes.extend([field, vec![0; 3_000_000]].concat())
            });
        },
    ),
    (
        "weights in two places",
        BAD,
        &["weights `twice`", "each field once", "`location`"],
        |c| {
            c.file("encoder", |bytes| {
                bytes.extend(weights(&[
                    ("location", "encoder.weights"),
                    ("location", "/etc/passwd"),
                ]))
            });
        },
    ),
    (
        "weights at an unknown field",
        BAD,
        &["weights `twice`", "`basepath`"],
        |c| {
            c.file("encoder", |bytes| {
                bytes.extend(weights(&[
                    ("location", "encoder.weights"),
                    ("basepath", "/etc"),
                ]))
            });
        },
    ),
    (
        "weights at an odd offset",
        BAD,
        &["weights `twice`", "multiple of 64", "`4`"],
        |c| {
            c.file("encoder", |bytes| {
                bytes.extend(weights(&[
                    ("location", "encoder.weights"),
                    ("offset", "4"),
                    ("length", "4"),
                ]));
            });
        },
    ),
    (
        "weights that are not numbers",
        BAD,
        &["output `state`", "finite numbers", "NaN"],
        |c| {
            c.file("encoder.weights", |bytes| {
                bytes
                    .chunks_exact_mut(4)
                    .for_each(|number| number.copy_from_slice(&f32::NAN.to_le_bytes()));
            });
        },
    ),
    ("wrong width", BAD, &["input `rows`", "found"], |c| {
        c.manifest(|m| m["encoders"]["sasrec"]["input"] = "texts".into());
        c.manifest(|m| m["encoders"]["sasrec"]["empty_row"] = "zero".into());
    }),
    ("wrong output width", BAD, &["output `state`", "8"], |c| {
        c.manifest(|m| m["encoders"]["sasrec"]["output"] = "texts".into());
    }),
];

/// Of `models/tiny-oracle`.
const ORACLE_CASES: &[Case] = &[
    (
        "unknown encoder of an oracle",
        BAD,
        &["oracles.affine.encoder", "the name of an encoder", "`none`"],
        |c| c.manifest(|m| m["oracles"]["affine"]["encoder"] = "none".into()),
    ),
    (
        "unknown space of an oracle",
        BAD,
        &["oracles.affine.output", "the name of a space", "`none`"],
        |c| c.manifest(|m| m["oracles"]["affine"]["output"] = "none".into()),
    ),
    (
        "unknown part of an oracle",
        BAD,
        &["oracles.affine.part", "the name of a part", "`none`"],
        |c| c.manifest(|m| m["oracles"]["affine"]["part"] = "none".into()),
    ),
    (
        "unknown graph of an oracle",
        BAD,
        &["oracles.affine.graph", "the name of a graph", "`none`"],
        |c| c.manifest(|m| m["oracles"]["affine"]["graph"] = "none".into()),
    ),
    (
        "unknown field of an oracle",
        BAD,
        &["oracles.affine", "`strength`"],
        |c| c.manifest(|m| m["oracles"]["affine"]["strength"] = 2.into()),
    ),
    (
        "negative guidance",
        BAD,
        &["oracles.affine.guidance", "not below 0", "-1"],
        |c| c.manifest(|m| m["oracles"]["affine"]["guidance"] = json!(-1.0)),
    ),
    (
        "infinite guidance",
        BAD,
        &["oracles.affine.guidance", "finite"],
        |c| c.manifest(|m| m["oracles"]["affine"]["guidance"] = json!(1e300)),
    ),
    (
        "another metric than dot",
        BAD,
        &["oracles.affine.output", "metric dot", "`neighbours`"],
        |c| c.manifest(|m| m["oracles"]["affine"]["output"] = "neighbours".into()),
    ),
    (
        "an output of another width",
        BAD,
        &["oracles.affine.output", "width 16", "width 8"],
        |c| {
            c.manifest(|m| {
                m["spaces"]["narrow"] = m["spaces"]["items"].clone();
                m["spaces"]["narrow"]["width"] = 8.into();
                m["oracles"]["affine"]["output"] = "narrow".into();
            });
        },
    ),
    (
        "neither graph nor affine",
        BAD,
        &["oracles.mlp2.graph", "`mlp2.oracle` holds no affine"],
        |c| {
            c.manifest(|m| {
                m["oracles"]["mlp2"]
                    .as_object_mut()
                    .unwrap()
                    .remove("graph");
            });
        },
    ),
    (
        "a recipe without its oracle",
        BAD,
        &["recipe.steps[0].oracle", "the name of an oracle", "nothing"],
        |c| {
            c.manifest(|m| {
                let step = m["recipe"]["steps"][0].as_object_mut().unwrap();
                step.remove("oracle");
            });
        },
    ),
    (
        "a recipe with an oracle that it does not use",
        BAD,
        &["recipe.steps[0].oracle", "nothing", "`affine`"],
        |c| c.manifest(|m| m["recipe"]["steps"][0]["retrieve"] = "popularity".into()),
    ),
    (
        "a way for the cold that nothing names",
        BAD,
        &["recipe.cold", "popularity"],
        |c| c.manifest(|m| m["recipe"]["cold"] = "encoder".into()),
    ),
    // Tables.
    (
        "no φ",
        BAD,
        &["`oracle`", "`unconditional`", "no such tensor"],
        |c| {
            c.tensors("oracle", |t| drop(t.0.remove("unconditional")));
        },
    ),
    (
        "a schedule of no steps",
        BAD,
        &["`schedule.x0`", "1 to 1048576 steps", "found 0"],
        |c| {
            c.tensors("mlp2.oracle", |t| {
                t.0.insert("schedule.x0".into(), ("F32".into(), vec![0], Vec::new()));
            });
        },
    ),
    (
        "schedules of two lengths",
        BAD,
        &["`schedule.deviation`", "F32 [500]", "F32 [499]"],
        |c| {
            c.tensors("oracle", |t| {
                let (_, shape, bytes) = t.0.get_mut("schedule.deviation").unwrap();
                shape[0] = 499;
                bytes.truncate(499 * 4);
            });
        },
    ),
    (
        "half an affine denoiser",
        BAD,
        &["`affine.x`", "F32 [16, 16]", "no such tensor"],
        |c| {
            c.tensors("oracle", |t| drop(t.0.remove("affine.x")));
        },
    ),
    (
        "an affine denoiser that is not collapsed",
        BAD,
        &["`collapsed.noise`", "no such tensor"],
        |c| {
            c.tensors("oracle", |t| drop(t.0.remove("collapsed.noise")));
        },
    ),
    (
        "an unknown tensor",
        BAD,
        &["`schedule.beta`", "unknown name"],
        |c| {
            c.tensors("oracle", |t| {
                let other = t.0["schedule.x"].clone();
                t.0.insert("schedule.beta".into(), other);
            });
        },
    ),
    ("a φ of NaN", BAD, &["`unconditional`", "NaN at 3"], |c| {
        c.tensors("oracle", |t| t.set_f32("unconditional", 3, f32::NAN))
    }),
    (
        "an infinite step",
        BAD,
        &["`affine.steps`", "finite", "inf at 17"],
        |c| c.tensors("oracle", |t| t.set_f32("affine.steps", 17, f32::INFINITY)),
    ),
    (
        "a negative deviation",
        BAD,
        &["`schedule.deviation`", "none negative", "-1 at 9"],
        |c| c.tensors("oracle", |t| t.set_f32("schedule.deviation", 9, -1.0)),
    ),
    (
        "a rising signal",
        BAD,
        &["`schedule.signal`", "never rising", "at 400"],
        |c| c.tensors("oracle", |t| t.set_f32("schedule.signal", 400, 0.999)),
    ),
    (
        "a signal of 1",
        BAD,
        &["`schedule.signal`", "below 1", "1 at 0"],
        |c| c.tensors("oracle", |t| t.set_f32("schedule.signal", 0, 1.0)),
    ),
    (
        "noise above the diagonal",
        BAD,
        &["`collapsed.noise`", "a lower triangle", "0.5 at 1"],
        |c| c.tensors("oracle", |t| t.set_f32("collapsed.noise", 1, 0.5)),
    ),
    (
        "a negative diagonal",
        BAD,
        &["`collapsed.noise`", "diagonal", "-1 at 17"],
        |c| c.tensors("oracle", |t| t.set_f32("collapsed.noise", 17, -1.0)),
    ),
    (
        "a collapsed chain of another mean",
        BAD,
        &["`collapsed.condition`", "mean of the chain"],
        |c| c.tensors("oracle", |t| t.set_f32("collapsed.constant", 5, 3.0)),
    ),
    (
        "a collapsed chain of another variance",
        BAD,
        &["`collapsed.noise`", "variance of the chain"],
        |c| c.tensors("oracle", |t| t.set_f32("collapsed.noise", 17, 3.0)),
    ),
    // Graphs.
    (
        "a graph that denoises nothing",
        BAD,
        &["graph `encoder`", "input `x`"],
        |c| c.manifest(|m| m["oracles"]["affine"]["graph"] = "encoder".into()),
    ),
    (
        "denoised into NaN",
        BAD,
        &[
            "graph `mlp2.denoiser`",
            "output `x0`",
            "finite numbers",
            "NaN in step 1999",
        ],
        |c| {
            c.file("mlp2.denoiser.weights", |bytes| {
                let numbers = bytes.chunks_exact_mut(4);
                numbers.for_each(|number| number.copy_from_slice(&f32::NAN.to_le_bytes()));
            });
        },
    ),
];

/// Of `models/tiny-values`.
const VALUE_CASES: &[Case] = &[
    (
        "unknown encoder of a Q-network",
        BAD,
        &[
            "q_networks.mcrl.encoder",
            "the name of an encoder",
            "`none`",
        ],
        |c| c.manifest(|m| m["q_networks"]["mcrl"]["encoder"] = "none".into()),
    ),
    (
        "unknown space of a Q-network",
        BAD,
        &["q_networks.mcrl.output", "the name of a space", "`none`"],
        |c| c.manifest(|m| m["q_networks"]["mcrl"]["output"] = "none".into()),
    ),
    (
        "unknown graph of a Q-network",
        BAD,
        &["q_networks.mcrl.graph", "the name of a graph", "`none`"],
        |c| c.manifest(|m| m["q_networks"]["mcrl"]["graph"] = "none".into()),
    ),
    (
        "unknown field of a Q-network",
        BAD,
        &["q_networks.mcrl", "`discount`"],
        |c| c.manifest(|m| m["q_networks"]["mcrl"]["discount"] = json!(0.5)),
    ),
    (
        "a weight above 1",
        BAD,
        &["q_networks.mcrl.weight", "0 to 1", "1.5"],
        |c| c.manifest(|m| m["q_networks"]["mcrl"]["weight"] = json!(1.5)),
    ),
    (
        "queries for another metric than dot",
        BAD,
        &["q_networks.mcrl.output", "metric dot", "`neighbours`"],
        |c| c.manifest(|m| m["q_networks"]["mcrl"]["output"] = "neighbours".into()),
    ),
    (
        "states that are no queries of their space",
        BAD,
        &[
            "q_networks.separate.output",
            "width 64",
            "`value` of width 16",
        ],
        |c| c.manifest(|m| m["q_networks"]["separate"]["output"] = "value".into()),
    ),
    (
        "neither output nor graph",
        BAD,
        &["q_networks.separate", "an `output` or a `graph`", "neither"],
        |c| {
            c.manifest(|m| {
                drop(
                    m["q_networks"]["separate"]
                        .as_object_mut()
                        .unwrap()
                        .remove("output"),
                )
            })
        },
    ),
    (
        "queries of another width",
        BAD,
        &["graph `q`", "output `query`", "64"],
        |c| {
            c.manifest(|m| {
                m["q_networks"]["mcrl"]["output"] = "separate.value".into();
            })
        },
    ),
    (
        "values where a query should be",
        BAD,
        &["graph `direct`", "output `query`", "q_values"],
        |c| c.manifest(|m| m["q_networks"]["direct"]["output"] = "value".into()),
    ),
    (
        "a query where values should be",
        BAD,
        &["graph `q`", "output `q_values`", "query"],
        |c| {
            c.manifest(|m| {
                drop(
                    m["q_networks"]["mcrl"]
                        .as_object_mut()
                        .unwrap()
                        .remove("output"),
                )
            })
        },
    ),
    (
        "a graph that reads no state",
        BAD,
        &["graph `encoder`", "input `state`"],
        |c| c.manifest(|m| m["q_networks"]["mcrl"]["graph"] = "encoder".into()),
    ),
    (
        "a recipe without steps",
        BAD,
        &["recipe.steps", "a step that retrieves", "no steps"],
        |c| c.manifest(|m| m["recipe"]["steps"] = json!([])),
    ),
    (
        "a recipe that only ranks",
        BAD,
        &[
            "recipe.steps[0]",
            "a step that retrieves",
            "a step that ranks",
        ],
        |c| c.manifest(|m| drop(m["recipe"]["steps"].as_array_mut().unwrap().remove(0))),
    ),
    (
        "a recipe that retrieves again",
        BAD,
        &[
            "recipe.steps[1]",
            "a step that ranks",
            "a step that retrieves",
        ],
        |c| c.manifest(|m| m["recipe"]["steps"][1] = m["recipe"]["steps"][0].clone()),
    ),
    (
        "a step that retrieves and ranks",
        BAD,
        &["recipe.steps[0]", "`retrieve` and `rank`"],
        |c| c.manifest(|m| m["recipe"]["steps"][0]["rank"] = "q_network".into()),
    ),
    (
        "a step that ranks without its Q-network",
        BAD,
        &[
            "recipe.steps[1].q_network",
            "the name of a q_network",
            "nothing",
        ],
        |c| {
            c.manifest(|m| {
                drop(
                    m["recipe"]["steps"][1]
                        .as_object_mut()
                        .unwrap()
                        .remove("q_network"),
                )
            })
        },
    ),
    (
        "a step that ranks by something else",
        BAD,
        &["recipe.steps[1].rank", "popularity"],
        |c| c.manifest(|m| m["recipe"]["steps"][1]["rank"] = "popularity".into()),
    ),
    (
        "a step that ranks nothing",
        BAD,
        &["recipe.steps[1].count", "at least 1"],
        |c| c.manifest(|m| m["recipe"]["steps"][1]["count"] = 0.into()),
    ),
    (
        "a weight below 0",
        BAD,
        &["recipe.steps[1].weight", "0 to 1", "-0.5"],
        |c| c.manifest(|m| m["recipe"]["steps"][1]["weight"] = json!(-0.5)),
    ),
    (
        "a weight of what does not rank",
        BAD,
        &["recipe.steps[0].weight", "does not rank"],
        |c| c.manifest(|m| m["recipe"]["steps"][0]["weight"] = json!(0.5)),
    ),
    (
        "valued as NaN",
        BAD,
        &[
            "graph `q`",
            "output `query`",
            "finite numbers",
            "NaN in column 0",
        ],
        |c| {
            c.file("q.weights", |bytes| {
                let numbers = bytes.chunks_exact_mut(4);
                numbers.for_each(|number| number.copy_from_slice(&f32::NAN.to_le_bytes()));
            });
        },
    ),
];

/// One more initialiser for the graph, with this external data.
fn weights(fields: &[(&str, &str)]) -> Vec<u8> {
    let block = |tag: u8, content: &[u8]| [&[tag, content.len() as u8][..], content].concat();
    let text = |tag: u8, content: &str| block(tag, content.as_bytes());
    let entry =
        |(key, value): &(&str, &str)| block(0x6a, &[text(0x0a, key), text(0x12, value)].concat());
    let entries: Vec<u8> = fields.iter().flat_map(entry).collect();
    let tensor = [text(0x42, "twice"), entries, vec![0x70, 1]].concat();
    block(0x3a, &block(0x2a, &tensor))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn replace(bytes: &mut [u8], what: &[u8], with: &[u8]) {
    while let Some(at) = find(bytes, what) {
        bytes[at..at + with.len()].copy_from_slice(with);
    }
}

#[test]
fn the_undamaged_bundle_is_sound() {
    for (bundle, parts) in [
        ("models/tiny", ["items", "catalog"]),
        ("models/tiny-oracle", ["oracle", "mlp2.oracle"]),
        ("models/tiny-values", ["items", "separate.value"]),
    ] {
        let copy = Copy::of(bundle);
        parts.iter().for_each(|part| copy.tensors(part, |_| {}));
        copy.manifest(|m| m["x-note"] = "extensions are allowed".into());
        if let Some(error) = first_error(copy.folder.path()) {
            panic!("{error}");
        }
    }
}

#[test]
fn every_defect_is_named() {
    assert!(CASES.len() >= 40);
    let mut wrong = Vec::new();
    let cases = CASES.iter().map(|case| (case, "models/tiny"));
    let of_oracles = ORACLE_CASES.iter().map(|case| (case, "models/tiny-oracle"));
    let of_values = VALUE_CASES.iter().map(|case| (case, "models/tiny-values"));
    let cases = cases.chain(of_oracles).chain(of_values);
    for ((name, code, words, damage), bundle) in cases {
        let copy = Copy::of(bundle);
        damage(&copy);
        match first_error(copy.folder.path()) {
            None => wrong.push(format!("{name}: not found")),
            Some(error) => {
                let message = error.to_string();
                println!("{name}: {message}");
                if error.code() != *code || !words.iter().all(|word| message.contains(word)) {
                    wrong.push(format!(
                        "{name}: {:?} {message}\n    wanted {code:?} with {words:?}",
                        error.code()
                    ));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        CASES.len() + ORACLE_CASES.len() + VALUE_CASES.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_cut_at_any_byte_is_an_error() {
    // Whatever the length and digest say: the contents themselves are checked.
    let tiny = ["catalog", "items", "small", "encoder", "encoder.weights"];
    let tiny = tiny.map(|part| ("models/tiny", part));
    for (bundle, part) in tiny.into_iter().chain([("models/tiny-oracle", "oracle")]) {
        let length = {
            let copy = Copy::of(bundle);
            let manifest: Value =
                serde_json::from_slice(&fs::read(copy.path("manifest.json")).unwrap()).unwrap();
            manifest["parts"][part]["bytes"].as_u64().unwrap() as usize
        };
        for cut in (0..length).step_by(length / 12 + 1) {
            let copy = Copy::of(bundle);
            copy.file(part, |bytes| bytes.truncate(cut));
            assert!(
                first_error(copy.folder.path()).is_some(),
                "{part} cut at {cut} of {length} went unnoticed"
            );
        }
    }
}
