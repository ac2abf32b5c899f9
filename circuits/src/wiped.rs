//! Secrets leave nothing behind.

/// What [`wiped_on_drop`] asks for.
pub(crate) const fn wiped<T: zeroize::ZeroizeOnDrop>() {}

/// Refuses to compile unless each of these types is wiped when it is dropped.
///
/// They derive that, and so wipe every field: a `Drop` written by hand would be believed, whatever it did.
macro_rules! wiped_on_drop {
    ($($secret:ty),+) => {
        const _: () = {
            $($crate::wiped::wiped::<$secret>();)+
        };
    };
}
pub(crate) use wiped_on_drop;
