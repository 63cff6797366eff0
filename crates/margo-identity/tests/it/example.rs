//! The vendor's application of the example, asked for real.

#[path = "../../examples/axum_layer.rs"]
#[expect(dead_code, reason = "`main` prints what is looked at here")]
mod axum_layer;

/// R-B-012, R-B-013: known, known but said before, and not known.
#[tokio::test]
async fn an_application_of_ones_own_knows_who_calls() {
    let answers = axum_layer::ask().await.unwrap();
    assert_eq!(answers[0], (200, "hello, plc-7".to_owned()));
    let statuses: Vec<_> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [200, 401, 401]);
    assert!(answers[1].1.contains("not accepted") && answers[2].1.contains("no credentials"), "{answers:?}");
}
