//! Who calls, as far as it is proven.

/// Who makes a call. A layer puts it into the request's extensions; a handler that finds none there must refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody knows, because no authentication is configured: for development. May do everything.
    Anonymous,
    /// A customer, who is confined to what is their own.
    Customer(String),
    /// Somebody who runs the business and may do everything.
    Operator {
        /// The subject of the token.
        name: String,
    },
}

impl Caller {
    /// Whether this caller may see and do what is this customer's.
    pub fn may_act_for(&self, customer: &str) -> bool {
        match self {
            Self::Anonymous | Self::Operator { .. } => true,
            Self::Customer(own) => own == customer,
        }
    }

    /// The customer that calls, if it is one.
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
    fn a_customer_acts_for_nobody_else() {
        let customer = Caller::Customer("17850".to_owned());

        assert!(customer.may_act_for("17850"));
        for other in ["13047", "1785", "178500", ""] {
            assert!(!customer.may_act_for(other), "{other}");
        }
    }

    #[test]
    fn operators_act_for_everybody() {
        let operator = Caller::Operator {
            name: "ada".to_owned(),
        };

        assert!(operator.may_act_for("17850"));
        assert!(Caller::Anonymous.may_act_for("17850"));
    }
}
