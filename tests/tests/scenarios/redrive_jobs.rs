//! Redrive jobs and damaged segments, as operators and workers see them in routes-api.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tonic::{Code, Status, transport::Channel};
use twinroute_proto::routes::v1::{
    CancelRedriveRequest, CreateEndpointRequest, DeadLetterContainer, DeadLetterSelection,
    DeleteEndpointRequest, Endpoint, GetBacklogRequest, GetRedriveRequest, KafkaOptions,
    RedriveDeadLettersRequest, RedriveJob, RedriveOutcome, RedriveReport, RedriveState, Secret,
    SkipBacklogSegmentRequest, endpoint::Destination, routes_service_client::RoutesServiceClient, secret,
};
use twinroute_tests::{
    servers::postgres::{Postgres, Shutdown, connect},
    services::{Program, Service},
    wait,
};

use crate::{
    raw_worker::RawWorker,
    scene::{self, DEADLINE},
    source::postgres,
};

const ENDPOINT: &str = "kafka";
/// Any 32 bytes in base64, for a database that lasts as long as the scenario.
const SEALING_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const EVENTS: [&str; 2] = ["6ba7b810-9dad-51d1-80b4-00c04fd430c8", "6ba7b811-9dad-51d1-80b4-00c04fd430c8"];

/// Two replicas of routes-api on one database, with an endpoint whose letters could be read.
struct Replicas {
    one: Service,
    other: Service,
    url: String,
}

impl Replicas {
    async fn start(url: &str, name: &str, settings: &Value) -> Result<Self> {
        let dir = scene::dir(name)?;
        let start = async |name: &str| {
            let mut all = json!({ "postgres": { "url": url }, "secrets": { "key": SEALING_KEY } });
            if let (Some(all), Some(settings)) = (all.as_object_mut(), settings.as_object()) {
                all.extend(settings.clone());
            }
            let mut routes = Service::start(Program::RoutesApi, name, all, &dir)?;
            routes.until_ready().await?;
            anyhow::Ok(routes)
        };
        let (one, other) = (start("routes-api-1").await?, start("routes-api-2").await?);
        let replicas = Self { one, other, url: url.to_owned() };
        replicas.create(ENDPOINT, Some("sp=rld&sig=x")).await?;
        Ok(replicas)
    }

    async fn client(&self) -> Result<RoutesServiceClient<Channel>> {
        client(&self.one).await
    }

    async fn create(&self, name: &str, read_sas: Option<&str>) -> Result<()> {
        let value = |text: &str| Some(Secret { secret: Some(secret::Secret::Value(text.to_owned())) });
        let kafka = KafkaOptions {
            brokers: vec!["broker.example.com:9092".to_owned()],
            topic: "twins".to_owned(),
            ..KafkaOptions::default()
        };
        let endpoint = Endpoint {
            name: name.to_owned(),
            destination: Some(Destination::Kafka(kafka)),
            dead_letter: Some(DeadLetterContainer {
                url: "https://plant.blob.core.windows.net/letters".to_owned(),
                sas: value("sp=w&sig=x"),
                read_sas: read_sas.and_then(value),
            }),
            ..Endpoint::default()
        };
        self.client().await?.create_endpoint(CreateEndpointRequest { endpoint: Some(endpoint) }).await?;
        Ok(())
    }

    /// Asks for a job of an endpoint's letters of one code.
    async fn redrive(&self, endpoint: &str) -> Result<Result<RedriveJob, Status>> {
        let selection = DeadLetterSelection {
            endpoint_name: endpoint.to_owned(),
            code: "MSG_SIZE_TOO_LARGE".to_owned(),
            ..DeadLetterSelection::default()
        };
        let request = RedriveDeadLettersRequest { selection: Some(selection), events_per_second_max: 50 };
        let answer = self.client().await?.redrive_dead_letters(request).await;
        Ok(answer.map(|answer| answer.into_inner().job.unwrap_or_default()))
    }

    async fn job(&self, id: &str) -> Result<RedriveJob> {
        let request = GetRedriveRequest { id: id.to_owned() };
        self.client().await?.get_redrive(request).await?.into_inner().job.context("no job")
    }

    async fn cancel(&self, id: &str) -> Result<RedriveJob> {
        let request = CancelRedriveRequest { id: id.to_owned() };
        self.client().await?.cancel_redrive(request).await?.into_inner().job.context("no job")
    }

    /// The job as it is when it fits.
    async fn until(&self, id: &str, fits: impl Fn(&RedriveJob) -> bool) -> Result<RedriveJob> {
        wait::until(DEADLINE, "the job to be so", async || {
            let job = self.job(id).await?;
            ensure!(fits(&job), "{job:?}");
            Ok(job)
        })
        .await
    }
}

async fn client(routes: &Service) -> Result<RoutesServiceClient<Channel>> {
    Ok(RoutesServiceClient::connect(format!("http://{}", routes.grpc())).await?)
}

fn outcome(event_id: &str, reason: &str) -> RedriveOutcome {
    RedriveOutcome { event_id: event_id.to_owned(), delivered: reason.is_empty(), reason: reason.to_owned() }
}

/// A report of one of two partitions.
fn finished(job: &RedriveJob, partition: u32, outcomes: Vec<RedriveOutcome>) -> RedriveReport {
    RedriveReport {
        job_id: job.id.clone(),
        outcomes,
        finished_partitions: vec![partition],
        partition_count: 2,
        error: String::new(),
    }
}

fn replicas(name: &str, settings: Value, scenario: impl AsyncFnOnce(&Replicas) -> Result<()>) -> Result<()> {
    scene::run(async {
        let url = postgres().await?.create_database(name).await?;
        scenario(&Replicas::start(&url, name, &settings).await?).await
    })
}

#[test]
fn a_job_is_handed_out_by_every_replica_until_its_workers_have_finished_every_partition() -> Result<()> {
    replicas("redrive_done", json!({}), async |replicas| {
        // Given a worker that is connected to another replica than operators are
        let mut early = RawWorker::connect(&replicas.other, "early").await?;
        // When a job is asked for
        let job = replicas.redrive(ENDPOINT).await??;
        assert_eq!((job.state(), job.events_per_second_max), (RedriveState::Running, 50));
        // Then the worker is handed it, and so is one that comes later
        assert_eq!(early.job().await?, job);
        let mut late = RawWorker::connect(&replicas.one, "late").await?;
        assert_eq!(late.job().await?, job);
        let runs = |_, page: &str| page.lines().any(|line| line == "twinroute_routes_redrive_jobs 1");
        replicas.other.until_page(DEADLINE, "/metrics", runs).await?;
        // And a second job of the endpoint is refused, with the first one's id
        let refused = replicas.redrive(ENDPOINT).await?.err().context("a second job runs")?;
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
        assert!(refused.message().contains(&job.id), "{refused}");
        // When one worker reports, then its figures are there, with what failed
        let [first, second] = EVENTS;
        early.report(finished(&job, 0, vec![outcome(first, ""), outcome(second, "too large")])).await?;
        let shown = replicas.until(&job.id, |job| job.delivered + job.failed == 2).await?;
        assert_eq!((shown.delivered, shown.failed, shown.state()), (1, 1, RedriveState::Running));
        assert_eq!(shown.failures, [outcome(second, "too large")]);
        assert!(shown.last_error.contains("too large"), "{shown:?}");
        // When the other one has finished the rest, then the job is done, and both let go of it
        late.report(finished(&job, 1, vec![outcome(first, "")])).await?;
        for worker in [&mut early, &mut late] {
            let told = worker.job().await?;
            assert_eq!((told.id.as_str(), told.state()), (job.id.as_str(), RedriveState::Done));
        }
        let done = replicas.job(&job.id).await?;
        assert_eq!((done.delivered, done.failed, done.state()), (2, 1, RedriveState::Done));
        assert!(done.end_time.is_some(), "{done:?}");
        // And what comes late is counted, changes nothing else, and is answered by the job's end
        early.report(finished(&job, 0, vec![outcome(first, "")])).await?;
        assert_eq!(early.job().await?.state(), RedriveState::Done);
        let counted = RedriveJob { delivered: done.delivered + 1, ..done };
        assert_eq!(replicas.job(&job.id).await?, counted);
        // And a report that is none ends the stream with its field
        late.report(RedriveReport { partition_count: 0, ..finished(&job, 0, Vec::new()) }).await?;
        let status = late.end().await?;
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains("`partition_count`"), "{status}");
        Ok(())
    })
}

#[test]
fn a_job_ends_when_it_is_cancelled_or_its_endpoint_is_deleted() -> Result<()> {
    let settings = json!({ "limits": { "redrive_jobs_max": 1 } });
    replicas("redrive_ended", settings, async |replicas| {
        let mut worker = RawWorker::connect(&replicas.other, "worker").await?;
        // Given as many jobs as may run
        replicas.create("other", Some("sp=rld&sig=x")).await?;
        let job = replicas.redrive(ENDPOINT).await??;
        assert_eq!(worker.job().await?, job);
        let refused = replicas.redrive("other").await?.err().context("more jobs run than may")?;
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        assert!(refused.message().contains("limits.redrive_jobs_max"), "{refused}");
        // When it is cancelled, then the worker lets go of it
        let cancelled = replicas.cancel(&job.id).await?;
        assert_eq!(cancelled.state(), RedriveState::Cancelled);
        assert!(cancelled.end_time.is_some(), "{cancelled:?}");
        let told = worker.job().await?;
        assert_eq!((told.id.as_str(), told.state()), (job.id.as_str(), RedriveState::Cancelled));
        // And to cancel it again shows it as it is
        assert_eq!(replicas.cancel(&job.id).await?, cancelled);
        // When another one begins a month later, then the first one is forgotten
        let database = connect(&replicas.url).await?;
        let month = "UPDATE twinroute_routes.redrive_job SET end_time = end_time - interval '31 days'";
        database.batch_execute(month).await?;
        let job = replicas.redrive("other").await??;
        assert_eq!(worker.job().await?, job);
        let forgotten = replicas.client().await?.get_redrive(GetRedriveRequest { id: cancelled.id }).await;
        assert_eq!(forgotten.err().map(|status| status.code()), Some(Code::NotFound));
        replicas.cancel(&job.id).await?;
        assert_eq!(worker.job().await?.id, job.id);
        // When the endpoint of the next one is deleted, then that has failed, with the reason
        let job = replicas.redrive(ENDPOINT).await??;
        assert_eq!(worker.job().await?, job);
        let request = DeleteEndpointRequest { name: ENDPOINT.to_owned(), ..DeleteEndpointRequest::default() };
        replicas.client().await?.delete_endpoint(request).await?;
        let failed = replicas.job(&job.id).await?;
        assert_eq!(failed.state(), RedriveState::Failed);
        assert_eq!(failed.last_error, "the endpoint `kafka` was deleted");
        let told = worker.job().await?;
        assert_eq!((told.id.as_str(), told.state()), (job.id.as_str(), RedriveState::Failed));
        // And no job begins where it could not be carried out
        replicas.create("sealed", None).await?;
        for (endpoint, code, reason) in [
            (ENDPOINT, Code::NotFound, "`kafka`"),
            ("sealed", Code::FailedPrecondition, "`dead_letter.read_sas`"),
            ("", Code::InvalidArgument, "`selection.endpoint_name`"),
        ] {
            let refused = replicas.redrive(endpoint).await?.err().context("it has begun")?;
            assert_eq!(refused.code(), code, "{refused}");
            assert!(refused.message().contains(reason), "{refused}");
        }
        for id in ["7", EVENTS[0]] {
            let request = GetRedriveRequest { id: id.to_owned() };
            let missing = replicas.client().await?.get_redrive(request).await.err().context("a job")?;
            assert_eq!(missing.code(), Code::NotFound, "{missing}");
        }
        Ok(())
    })
}

#[test]
fn reports_wait_for_a_database_that_is_away_and_jobs_outlast_routes_api() -> Result<()> {
    scene::run(async {
        // Given a job that a worker has
        let dir = scene::dir("redrive_away")?;
        let mut postgres = Postgres::start(&dir.join("postgres")).await?;
        let mut replicas =
            Replicas::start(&postgres.url("postgres"), "redrive_away/services", &json!({})).await?;
        let mut worker = RawWorker::connect(&replicas.one, "worker").await?;
        let job = replicas.redrive(ENDPOINT).await??;
        assert_eq!(worker.job().await?, job);
        // When it reports while the database is away
        postgres.stop(Shutdown::Fast).await?;
        let [first, second] = EVENTS;
        worker.report(finished(&job, 0, vec![outcome(first, "")])).await?;
        worker.report(finished(&job, 0, vec![outcome(second, "too large")])).await?;
        replicas.one.until_page(DEADLINE, "/readyz", |status, _| status == 503).await?;
        // Then all of it is merged when that is back
        postgres.start_again().await?;
        wait::until(DEADLINE, "both reports", async || {
            let shown = replicas.job(&job.id).await?;
            ensure!((shown.delivered, shown.failed) == (1, 1), "{shown:?}");
            Ok(())
        })
        .await?;
        // And a worker has the job again after routes-api was restarted
        replicas.one.kill().await?;
        replicas.one.start_again()?;
        replicas.one.until_ready().await?;
        let mut worker = RawWorker::connect(&replicas.one, "worker").await?;
        let again = worker.job().await?;
        assert_eq!((&again.id, again.state()), (&job.id, RedriveState::Running));
        Ok(())
    })
}

fn skip(object: &str) -> SkipBacklogSegmentRequest {
    SkipBacklogSegmentRequest { endpoint_name: ENDPOINT.to_owned(), object_name: object.to_owned() }
}

#[test]
fn a_damaged_segment_is_shown_and_skipped_by_the_worker_that_has_it() -> Result<()> {
    let settings = json!({ "watch": { "skip_deadline_ms": 3_000 } });
    replicas("skipped_segments", settings, async |replicas| {
        let mut client = replicas.client().await?;
        let backlog = GetBacklogRequest { endpoint_name: ENDPOINT.to_owned() };
        // Given no worker, when the backlog is asked for, then the answer says what to do
        let unknown = client.get_backlog(backlog.clone()).await.err().context("a backlog without workers")?;
        assert_eq!(unknown.code(), Code::Unavailable, "{unknown}");
        assert!(unknown.message().contains("no worker is connected"), "{unknown}");
        // When two workers report, of which one has damaged segments
        let good = RawWorker::connect(&replicas.one, "good").await?;
        good.damaged(ENDPOINT, &[]).await?;
        let mut bad = RawWorker::connect(&replicas.one, "bad").await?;
        bad.damaged(ENDPOINT, &["a.segment", "b.segment"]).await?;
        // Then the backlog is theirs together
        let shown = wait::until(DEADLINE, "both reports", async || {
            let shown = client.clone().get_backlog(backlog.clone()).await?.into_inner();
            ensure!((shown.events, shown.bytes) == (14, 200), "{shown:?}");
            Ok(shown)
        })
        .await?;
        let objects: Vec<&str> = shown.damaged_segments.iter().map(|one| one.object_name.as_str()).collect();
        assert_eq!(objects, ["a.segment", "b.segment"]);
        // When one is skipped that nobody reports, then the call says so
        let refused = client.skip_backlog_segment(skip("c.segment")).await.err().context("it is skipped")?;
        assert_eq!(refused.code(), Code::NotFound, "{refused}");
        assert!(refused.message().contains("GetBacklog"), "{refused}");
        // When one of them is skipped, then its worker is asked to
        let mut caller = client.clone();
        let skipping = tokio::spawn(async move { caller.skip_backlog_segment(skip("a.segment")).await });
        let asked = bad.skip().await?;
        assert_eq!((&*asked.endpoint_name, &*asked.object_name), (ENDPOINT, "a.segment"));
        // And the call ends when it reports that no more
        bad.damaged(ENDPOINT, &["b.segment"]).await?;
        skipping.await??;
        // When the worker does not do it, then the call says that it may still be done
        let late = client.skip_backlog_segment(skip("b.segment")).await.err().context("it is skipped")?;
        assert_eq!(late.code(), Code::DeadlineExceeded, "{late}");
        assert!(late.message().contains("watch.skip_deadline_ms"), "{late}");
        assert_eq!(bad.skip().await?.object_name, "b.segment");
        Ok(())
    })
}
