use std::collections::BTreeSet;

use super::*;

const BOTH: [EngineSet; 2] = [EngineSet::Embedded, EngineSet::Production];

fn kinds(plan: &FaultPlan) -> BTreeSet<String> {
    let steps = plan.steps().into_iter();
    steps.map(|step| step.fault.kind()).collect()
}

#[test]
fn the_same_seed_gives_the_same_plan_and_another_seed_a_different_plan() {
    for engines in BOTH {
        let length = Duration::from_secs(300);

        let plan = FaultPlan::new(7, length, engines);

        assert_eq!(plan, FaultPlan::new(7, length, engines));
        assert_eq!(
            plan.to_string(),
            FaultPlan::new(7, length, engines).to_string()
        );
        assert_ne!(
            plan.disruptions,
            FaultPlan::new(8, length, engines).disruptions
        );
    }
}

#[test]
fn a_plan_of_ten_minutes_has_every_kind_of_fault() {
    for seed in 0..50 {
        let plan = FaultPlan::new(seed, Duration::from_secs(600), EngineSet::Production);

        let kinds = kinds(&plan);
        for service in Service::IN_STOP_ORDER {
            assert!(kinds.contains(&format!("kill {service}")), "{kinds:?}");
        }
        for kind in [
            "kill all of order-service",
            "freeze broker",
            "restart database",
            "remove and add processing-service",
            "records deleted unread",
            "half-open to broker",
            "cut off database",
            "fail over database",
            "failing payments",
            "duplicates",
            "replay",
            "swapped records",
            "foreign records",
        ] {
            assert!(kinds.contains(kind), "{kind} is not in {kinds:?}");
        }
    }
}

#[test]
fn one_disruption_is_over_before_the_next_begins_and_the_last_before_the_orders_end() {
    for (seed, engines) in (0..100).zip(BOTH.into_iter().cycle()) {
        let length = Duration::from_secs(120);

        let plan = FaultPlan::new(seed, length, engines);

        let mut free_from = WARM_UP;
        for step in &plan.disruptions {
            assert!(step.fault.disrupts());
            assert!(step.at >= free_from, "{plan}");
            free_from = step.at + step.lasts + Duration::from_secs(PAUSE.0);
        }
        for step in plan.steps() {
            assert!(step.at + step.lasts <= length - TAIL, "{plan}");
        }
    }
}

#[test]
fn every_step_has_an_effect() {
    for seed in 0..200 {
        let plan = FaultPlan::new(seed, Duration::from_secs(600), EngineSet::Production);
        for step in plan.disruptions {
            let is_at_once = matches!(step.fault, ChaosFault::Kill(_) | ChaosFault::KillAll(_));
            assert_eq!(step.lasts.is_zero(), is_at_once, "{step}");
            // A process that the fault itself affects is not killed.
            if step.kill_amid.is_some() {
                assert!(matches!(
                    step.fault,
                    ChaosFault::Stop(_) | ChaosFault::Line(..)
                ));
            }
            // Stopping a service of the pair is the removal of one replica; PostgreSQL's backends would not notice that
            // their parent is frozen.
            assert!(!matches!(step.fault, ChaosFault::Stop(Service::Orders)));
            assert_ne!(step.fault, ChaosFault::Freeze(Service::Database));
        }
    }
}

#[test]
fn the_embedded_engines_have_no_database_server_and_no_second_replica() {
    for seed in 0..50 {
        let plan = FaultPlan::new(seed, Duration::from_secs(600), EngineSet::Embedded);

        for kind in kinds(&plan) {
            assert!(!kind.contains("database"), "{kind}");
            assert!(!kind.contains("all of"), "{kind}");
        }
    }
}

#[test]
fn a_short_run_has_faults_too() {
    for seed in 0..50 {
        for engines in BOTH {
            let plan = FaultPlan::new(seed, Duration::from_secs(30), engines);

            assert!(!plan.disruptions.is_empty(), "seed {seed}: {plan}");
            assert!(!plan.disturbances.is_empty(), "seed {seed}: {plan}");
        }
    }
}
