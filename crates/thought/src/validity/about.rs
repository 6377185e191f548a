//! Aboutness: a thought names something of its subject, and nothing that does not exist.
//!
//! A thought about a file names a path or a definition of that file, or of a file it builds on; one
//! about the project, of any file. What looks like a path or a definition and occurs nowhere in the
//! graph is invented; what belongs to a package from outside cannot be judged and counts for nothing.

use recon_schema::trajectory::{Fault, Subject};

use super::Found;
use super::mentions::{Look, Mention, mentions};
use crate::outline::{Known, Names, Project};

/// Words of the languages themselves, and of what comes with them, that every program may name.
const LANGUAGE: &str = "\
    None True False self cls int str bytes dict list set tuple float bool object type len print range super iter next \
    isinstance issubclass hash repr sorted map filter zip sum min max abs any all open id format property classmethod \
    staticmethod dataclass abstractmethod Exception BaseException ValueError TypeError KeyError IndexError \
    AttributeError RuntimeError ImportError OSError IOError StopIteration NotImplementedError LookupError \
    ArithmeticError OverflowError ZeroDivisionError AssertionError NotImplemented Any Optional Union Callable Iterable \
    Iterator Mapping MutableMapping Sequence Generic TypeVar Protocol def class return import from raise yield lambda \
    async await with try except finally if elif else for while in is not and or pass assert del global nonlocal \
    null undefined true false this new const let var function String Number Boolean Object Array Promise Map Set Error \
    Date RegExp Symbol BigInt extends implements interface enum export default static public private protected void \
    final abstract throws throw catch switch case break continue typeof instanceof \
    fn pub mod use impl trait struct match mut ref where unsafe dyn crate Self Vec Option Result Box Rc Arc Some Ok Err \
    usize isize u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64 char HashMap HashSet BTreeMap Debug Clone Copy Default \
    Display From Into Iterator nil error func go defer chan make package string byte rune int32 int64 uint8 uint64 \
    std size_t uint8_t uint32_t uint64_t int64_t nullptr NULL template typename namespace using auto constexpr inline \
    Integer Long Double List ArrayList Exception Override val fun when companion nil end module require attr_reader \
    main __init__ __main__ __name__ __all__ __version__ __eq__ __hash__ __repr__ __str__ __len__ __iter__ __call__ \
    __getitem__ __setitem__ __delitem__ __contains__ __enter__ __exit__ args kwargs";

/// Refuses a text that is not about `subject`, or that names what does not exist.
pub(super) fn check(text: &str, subject: &Subject, project: &Project<'_>) -> Result<(), Found> {
    let known = project.known();
    let own = project.names_of(subject);
    let own = own.as_ref().unwrap_or(&known.names);
    let said = mentions(text);
    if let Some(mention) = said.iter().find(|mention| is_invented(mention, known)) {
        return Err((Fault::Invented, format!("`{}` is nowhere in the project", mention.text)));
    }
    if said.iter().any(|mention| is_of(mention, own)) {
        return Ok(());
    }
    let what = subject.path().unwrap_or_else(|| project.name());
    Err((Fault::OffSubject, format!("it names no path or definition of {what}, or of what that uses")))
}

fn is_invented(mention: &Mention<'_>, known: &Known) -> bool {
    let parts: Vec<&str> = parts(mention.text);
    let (Some(&head), Some(&last)) = (parts.first(), parts.last()) else { return false };
    match mention.look {
        Look::Word => false,
        Look::Path => !known.names.has_path(mention.text) && !is_module(mention.text, known),
        Look::Name => {
            let from_outside = parts.len() > 1 && known.is_outside(head);
            !known.has_word(last) && !is_of_language(last) && !from_outside
        }
    }
}

/// A dotted name may end like a file: `package.sh` is `sh` in `package`.
fn is_module(text: &str, known: &Known) -> bool {
    !text.contains('/') && parts(text).iter().all(|part| known.has_word(part))
}

fn is_of(mention: &Mention<'_>, names: &Names) -> bool {
    match mention.look {
        Look::Path => names.has_path(mention.text),
        // A name is of the subject where its last part is, or the whole is a module of it.
        Look::Name | Look::Word => {
            parts(mention.text).last().is_some_and(|last| names.defines(last) && !is_of_language(last))
        }
    }
}

fn parts(name: &str) -> Vec<&str> {
    name.split(['.', ':', '#', '/']).filter(|part| !part.is_empty()).collect()
}

fn is_of_language(word: &str) -> bool {
    LANGUAGE.split_ascii_whitespace().any(|known| known == word)
}
