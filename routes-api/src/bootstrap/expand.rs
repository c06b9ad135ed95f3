//! Environment variables in values: `${NAME}`.

/// Gives the value of an environment variable.
pub(super) type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The text with every `${NAME}` replaced, or what is wrong. `$` before anything else stands for itself.
pub(super) fn expand(text: &str, environment: Environment<'_>) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let (name, tail) = after.split_once('}').ok_or("has `${` without `}`")?;
        let value = environment(name)
            .ok_or_else(|| format!("needs the environment variable {name}, which is not set"))?;
        expanded.push_str(&value);
        rest = tail;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_other_dollars_stay() {
        let environment = |name: &str| (name == "HOST").then(|| "broker".to_owned());
        let expand = |text| expand(text, &environment);
        assert_eq!(expand("$ConnectionString").as_deref(), Ok("$ConnectionString"));
        assert_eq!(expand("${HOST}:1883/${HOST}").as_deref(), Ok("broker:1883/broker"));
        assert!(expand("${NONE}").is_err_and(|reason| reason.contains("NONE")));
        assert!(expand("${HOST").is_err());
    }
}
