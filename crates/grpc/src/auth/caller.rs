//! The authenticated caller of a call.

/// Set by the layer as a request extension; a handler that finds none must reject the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// No authentication is configured (development). May do everything.
    Anonymous,
    /// Restricted to their own data.
    Customer(String),
    /// Runs the business; may do everything.
    Operator {
        /// Subject of the token.
        name: String,
    },
}

impl Caller {
    /// Whether the caller may read and change this customer's data.
    pub fn may_act_for(&self, customer: &str) -> bool {
        match self {
            Self::Anonymous | Self::Operator { .. } => true,
            Self::Customer(own) => own == customer,
        }
    }

    pub fn customer(&self) -> Option<&str> {
        match self {
            Self::Customer(own) => Some(own),
            Self::Anonymous | Self::Operator { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_acts_for_no_other_customer() {
        let customer = Caller::Customer("17850".to_owned());

        assert!(customer.may_act_for("17850"));
        for other in ["13047", "1785", "178500", ""] {
            assert!(!customer.may_act_for(other), "{other}");
        }
    }

    #[test]
    fn operators_act_for_every_customer() {
        let operator = Caller::Operator {
            name: "ada".to_owned(),
        };

        assert!(operator.may_act_for("17850"));
        assert!(Caller::Anonymous.may_act_for("17850"));
    }
}
