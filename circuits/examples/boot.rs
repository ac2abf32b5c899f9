//! Bootstraps the committed keys.
use circuits::{Profile, circuit::Circuit, keys::*};
fn main() {
    let t = std::time::Instant::now();
    let c = Circuit::new(&Profile::DEV);
    println!("circuit {:?} constraints {} vars {}", t.elapsed(), c.constraints(), c.variables());
    let t = std::time::Instant::now();
    let pk = insecure_dev_setup(&c);
    println!("setup {:?}", t.elapsed());
    let vk = VerifyingKey::new(&Profile::DEV, &pk.vk, true).unwrap();
    std::fs::write("circuits/keys/dev.vk", vk.to_bytes()).unwrap();
    std::fs::write("circuits/keys/dev.manifest.json", Manifest::describe(&c, Some(&vk)).to_json()).unwrap();
    let t = std::time::Instant::now();
    let c = Circuit::new(&Profile::STANDARD);
    println!("standard {:?} constraints {} vars {}", t.elapsed(), c.constraints(), c.variables());
    let t = std::time::Instant::now();
    std::fs::write("circuits/keys/standard.manifest.json", Manifest::describe(&c, None).to_json()).unwrap();
    println!("digest {:?}", t.elapsed());
}
