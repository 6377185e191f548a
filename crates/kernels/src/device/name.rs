//! Names of devices, as configurations hold them: `cpu`, `cuda` (the first GPU) or `cuda:N`.

use super::error::DeviceError;

/// What a name asks for: `None` for the CPU, else the number of the GPU.
///
/// # Errors
/// [`DeviceError::Unknown`].
pub fn parse(name: &str) -> Result<Option<usize>, DeviceError> {
    let unknown = || DeviceError::Unknown { name: name.to_owned() };
    match name.split_once(':') {
        None if name == "cpu" => Ok(None),
        None if name == "cuda" => Ok(Some(0)),
        Some(("cuda", index)) => index.parse().map(Some).map_err(|_| unknown()),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        assert_eq!(parse("cpu"), Ok(None));
        assert_eq!(parse("cuda"), Ok(Some(0)));
        assert_eq!(parse("cuda:3"), Ok(Some(3)));
        for name in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "cuda:0:1"] {
            assert_eq!(parse(name), Err(DeviceError::Unknown { name: name.to_owned() }));
        }
    }
}
