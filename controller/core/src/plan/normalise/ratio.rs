//! Numbers that the engine keeps as 32-bit floats, as it gives them back.

use serde_json::Value;

/// The number as Go reads it into a `float32` and writes it again: rounded to the nearest one,
/// with as few digits as tell it apart, and without a fraction when there is none. What is no
/// number, or too large for one, stays as it is.
pub(crate) fn float32(value: &Value) -> Value {
    value
        .as_f64()
        // By way of the text, which is what the engine gets to read.
        .and_then(|number| number.to_string().parse::<f32>().ok())
        .and_then(|number| serde_json::from_str(&number.to_string()).ok())
        .unwrap_or_else(|| value.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn integral_values_are_integers_and_others_have_the_digits_of_a_float32() {
        assert_eq!(float32(&json!(1.0)), json!(1));
        assert_eq!(float32(&json!(1)), json!(1));
        assert_eq!(float32(&json!(0.0)), json!(0));
        assert_eq!(float32(&json!(0.1)), json!(0.1));
        assert_eq!(float32(&json!(0.123_456_789)), json!(0.123_456_79));
        assert_eq!(float32(&json!(0.999_999_999_9)), json!(1));
        assert_eq!(float32(&json!(1e300)), json!(1e300));
        assert_eq!(float32(&json!("half")), json!("half"));
    }
}
